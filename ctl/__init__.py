"""The command line: parses, asks a server, prints. It decides nothing that the server decides."""
