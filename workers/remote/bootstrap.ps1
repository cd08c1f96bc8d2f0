$ProgressPreference = 'SilentlyContinue'
$ErrorActionPreference = 'Stop'
$in = [Console]::OpenStandardInput()
function Read-Part($size, $want) {
  $all = New-Object byte[] $size
  $at = 0
  while ($at -lt $size) {
    $n = $in.Read($all, $at, $size - $at)
    if ($n -le 0) { break }
    $at += $n
  }
  $sha = New-Object Security.Cryptography.SHA256CryptoServiceProvider
  $got = [BitConverter]::ToString($sha.ComputeHash($all)).Replace('-', '').ToLower()
  if (($at -ne $size) -or ($got -ne $want)) {
    [Console]::Out.WriteLine('@@{nonce} refused e30')
    exit 11
  }
  [Text.Encoding]::UTF8.GetString($all)
}
$run = Read-Part {runner_length} '{runner_sha256}'
$job = Read-Part {payload_length} '{payload_sha256}'
& ([ScriptBlock]::Create($run)) $job
