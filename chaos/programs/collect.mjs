// Loaded into the server with --expose-gc: collects all garbage at SIGUSR2.
process.on('SIGUSR2', () => globalThis.gc?.())
