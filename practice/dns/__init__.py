"""An authoritative DNS server over UDP and TCP, and the DnsServer cmdlets that edit its zone."""
