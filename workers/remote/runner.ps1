# The runner of lync-dr: carries out the calls of one JSON payload and answers in framed lines.
#
# The wire is described in docs/runner-protocol.md. For Windows PowerShell 3.0 to 5.1.
# This file holds no rule: which cmdlet may be called, and when, was decided before it was started.
# ASCII only, line feeds only, one statement per line: its SHA-256 is checked before it runs.
param([string]$Json)

# Global, because functions of modules see the global preferences and not those of this script.
$global:ProgressPreference = 'SilentlyContinue'
$global:ErrorActionPreference = 'Continue'
$global:WarningPreference = 'Continue'
$global:InformationPreference = 'Continue'
$global:ConfirmPreference = 'None'

$lyncDrWork = $Json | ConvertFrom-Json
$lyncDrWire = @{
  nonce = [string]$lyncDrWork.nonce
  out = [Console]::OpenStandardOutput()
  # The CryptoServiceProvider class also works where Windows demands FIPS algorithms.
  sha = New-Object Security.Cryptography.SHA256CryptoServiceProvider
  frames = 0
  lost = 0
  call = ''
  want = @()
  errors = 0
  made = 0
}

# Writes one frame. Never throws: an exception here would land in the cmdlet's own pipeline.
function Send-LyncDrFrame {
  param([string]$Type, [hashtable]$Body)
  try {
    $text = ConvertTo-Json -InputObject $Body -Depth 6 -Compress
    $code = [Convert]::ToBase64String([Text.Encoding]::UTF8.GetBytes($text))
    $code = $code.TrimEnd('=').Replace('+', '-').Replace('/', '_')
    $line = '@@' + $lyncDrWire.nonce + ' ' + $Type + ' ' + $code + "`n"
    $bytes = [Text.Encoding]::ASCII.GetBytes($line)
    if ($Type -ne 'bye') {
      [void]$lyncDrWire.sha.TransformBlock($bytes, 0, $bytes.Length, $bytes, 0)
      $lyncDrWire.frames++
    }
    $lyncDrWire.out.Write($bytes, 0, $bytes.Length)
    $lyncDrWire.out.Flush()
  } catch {
    $lyncDrWire.lost++
  }
}

# Makes a plain JSON scalar of a value: text, true/false, whole number or null. Nothing else travels.
function ConvertTo-LyncDrScalar {
  param($Value)
  if ($null -eq $Value) { return $null }
  if ($Value -is [bool]) { return [bool]$Value }
  if (($Value -is [int]) -or ($Value -is [byte]) -or ($Value -is [int16]) -or ($Value -is [uint16])) {
    return [int]$Value
  }
  if ((($Value -is [long]) -or ($Value -is [uint32])) -and ([Math]::Abs([decimal]$Value) -lt 9007199254740992)) {
    return [long]$Value
  }
  if ($Value -is [DateTime]) { return $Value.ToUniversalTime().ToString('o') }
  # PowerShell turns values into text without regard to the culture; an enum gives its name.
  return "$Value"
}

# Puts one wanted property into a row. A path goes through collections and yields a flat list;
# a property that the object does not have leaves no key, so that absent and null stay apart.
function Add-LyncDrProperty {
  param($Item, [string]$Path, [hashtable]$Row)
  $here = New-Object Collections.ArrayList
  [void]$here.Add($Item)
  $many = $false
  foreach ($name in $Path.Split('.')) {
    $next = New-Object Collections.ArrayList
    foreach ($one in $here) {
      if ($null -eq $one) { continue }
      $found = $one.PSObject.Properties[$name]
      if ($null -eq $found) { continue }
      # A property may be code that fails: then it counts as absent.
      try { $value = $found.Value } catch { continue }
      if (($value -is [Collections.IEnumerable]) -and ($value -isnot [string])) {
        $many = $true
        foreach ($each in $value) { [void]$next.Add($each) }
      } else { [void]$next.Add($value) }
    }
    $here = $next
  }
  $list = New-Object Collections.ArrayList
  foreach ($one in $here) { [void]$list.Add((ConvertTo-LyncDrScalar $one)) }
  if ($many) {
    $Row[$Path] = $list
  } elseif ($list.Count -gt 0) { $Row[$Path] = $list[0] }
}

function Send-LyncDrOutput {
  param($Item)
  $lyncDrWire.made++
  if ($lyncDrWire.want -contains '@count') { return }
  $row = @{}
  foreach ($path in $lyncDrWire.want) {
    if ($path -eq '@text') {
      $text = $Item | Out-String -Width 4096
      $row['@text'] = "$text".Trim()
    } else {
      Add-LyncDrProperty $Item $path $row
    }
  }
  Send-LyncDrFrame 'output' @{ call = $lyncDrWire.call; row = $row }
}

function Send-LyncDrError {
  param($Record, [bool]$Terminating)
  $lyncDrWire.errors++
  $body = @{ call = $lyncDrWire.call; terminating = $Terminating; message = "$Record" }
  try {
    $body.message = "$($Record.Exception.Message)"
    $body.fqid = "$($Record.FullyQualifiedErrorId)"
    $body.category = "$($Record.CategoryInfo.Category)"
    $body.activity = "$($Record.CategoryInfo.Activity)"
    $body.reason = "$($Record.CategoryInfo.Reason)"
    $body.target = "$($Record.CategoryInfo.TargetName)"
    $body.type = $Record.Exception.GetType().FullName
    $body.inner = "$($Record.Exception.InnerException.Message)"
    $red = $Record | Out-String -Width 4096
    $body.red = "$red"
  } catch {
    $body.incomplete = $true
  }
  Send-LyncDrFrame 'error' $body
}

# Sorts one record of the merged streams by its type, as soon as the cmdlet has made it.
function Send-LyncDrRecord {
  param($Record)
  if ($null -eq $Record) { return }
  $kind = $Record.GetType().Name
  if ($Record -is [Management.Automation.ErrorRecord]) {
    Send-LyncDrError $Record $false
  } elseif ($kind -eq 'WarningRecord') {
    Send-LyncDrFrame 'warning' @{ call = $lyncDrWire.call; text = "$Record" }
  } elseif (($kind -eq 'VerboseRecord') -or ($kind -eq 'DebugRecord') -or ($kind -eq 'InformationRecord')) {
    Send-LyncDrFrame 'verbose' @{ call = $lyncDrWire.call; text = "$Record" }
  } else {
    Send-LyncDrOutput $Record
  }
}

Send-LyncDrFrame 'hello' @{
  v = 1
  run = [string]$lyncDrWork.run
  calls = @($lyncDrWork.calls).Length
  host = [Environment]::MachineName
  user = [Environment]::UserName
  ps = "$($PSVersionTable.PSVersion)"
  utc = [DateTime]::UtcNow.ToString('o')
}
if (([int]$lyncDrWork.v -ne 1) -or ($lyncDrWire.lost -gt 0)) { exit 12 }
$lyncDrTotal = 0
foreach ($lyncDrCall in $lyncDrWork.calls) {
  $lyncDrWire.call = [string]$lyncDrCall.id
  $lyncDrWire.want = @($lyncDrCall.want)
  $lyncDrWire.errors = 0
  $lyncDrWire.made = 0
  $lyncDrCut = $false
  $lyncDrWatch = [Diagnostics.Stopwatch]::StartNew()
  $lyncDrParams = @{}
  foreach ($lyncDrPair in $lyncDrCall.params) {
    $lyncDrParams[[string]$lyncDrPair[0]] = $lyncDrPair[1]
  }
  try {
    $lyncDrFound = Get-Command -Name $lyncDrCall.cmdlet -CommandType 'Cmdlet, Function' -ErrorAction Stop |
      Select-Object -First 1
    # Whatever goes wrong in reporting is counted: thrown, it would stop the cmdlet half way.
    & { & $lyncDrFound @lyncDrParams } *>&1 | ForEach-Object {
      try { Send-LyncDrRecord $_ } catch { $lyncDrWire.lost++ }
    }
  } catch {
    $lyncDrCut = $true
    Send-LyncDrError $_ $true
  }
  $lyncDrTotal += $lyncDrWire.errors
  Send-LyncDrFrame 'result' @{
    call = $lyncDrWire.call
    errors = $lyncDrWire.errors
    count = $lyncDrWire.made
    terminated = $lyncDrCut
    ms = $lyncDrWatch.ElapsedMilliseconds
  }
}
[void]$lyncDrWire.sha.TransformFinalBlock((New-Object byte[] 0), 0, 0)
$lyncDrHash = [BitConverter]::ToString($lyncDrWire.sha.Hash).Replace('-', '').ToLower()
Send-LyncDrFrame 'bye' @{
  frames = $lyncDrWire.frames
  sha256 = $lyncDrHash
  errors = $lyncDrTotal
  lost = $lyncDrWire.lost
}
if ($lyncDrTotal -gt 0) { exit 10 }
exit 0
