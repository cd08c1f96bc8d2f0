# Stub cmdlets with which the real runner is tried out where a PowerShell is at hand.

function Get-CsStubWarning {
  [CmdletBinding()]
  param([string]$PoolFqdn)
  Write-Verbose "looking at $PoolFqdn"
  Write-Warning 'The backup is 7 minutes old.'
  [PSCustomObject]@{
    Identity = $PoolFqdn
    PoolState = 'Active'
    Users = 4212
    Ttl = [TimeSpan]::FromMinutes(5)
    Empty = $null
    Modules = @(
      [PSCustomObject]@{ Name = 'CMS'; Good = $true }
      [PSCustomObject]@{ Name = 'UserData'; Good = $false }
    )
  }
}

function Invoke-CsStubTerminating {
  [CmdletBinding(SupportsShouldProcess = $true)]
  param([string]$PoolFqdn, [switch]$DisasterMode)
  Write-Verbose "disaster mode: $DisasterMode"
  $why = New-Object InvalidOperationException "Pool $PoolFqdn is the next hop of an Edge server."
  $record = New-Object Management.Automation.ErrorRecord $why, 'EdgeNextHop', 'InvalidOperation', $PoolFqdn
  $PSCmdlet.ThrowTerminatingError($record)
}

function Set-CsStubNonTerminating {
  [CmdletBinding()]
  param([string[]]$Names)
  foreach ($name in $Names) {
    if ($name -eq 'bad') {
      $why = New-Object ArgumentException "There is no $name."
      $record = New-Object Management.Automation.ErrorRecord $why, 'NoSuchName', 'ObjectNotFound', $name
      $PSCmdlet.WriteError($record)
    } else {
      [PSCustomObject]@{ Name = $name }
    }
  }
}

function Set-CsStubNothing {
  [CmdletBinding()]
  param()
}

function Get-CsStubMebibyte {
  [CmdletBinding()]
  param()
  [PSCustomObject]@{ Text = 'x' * 1048576 }
}

Export-ModuleMember -Function *
