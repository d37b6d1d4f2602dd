// The node agent: reads openmosix.map, announces itself, reports to the server.
process.exitCode = 0;
