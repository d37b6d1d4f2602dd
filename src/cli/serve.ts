// farm serve: all services in the foreground, until a signal.
import { Command, InvalidArgumentError, Option } from 'commander';
import { systemClock } from '../base/clock.ts';
import { sentence } from '../base/errors.ts';
import { type LogFormat, openLog } from '../base/log.ts';
import { notifyReady } from '../base/notify.ts';
import { keepPassed, passedSockets, untakenSockets } from '../base/passed-sockets.ts';
import { startFarmServer } from '../farm/server.ts';
import { type ServiceName, serviceNames } from '../farm/services.ts';
import { farmDirectory, numberArgument } from './options.ts';
import { builtinOverlay, programFiles, scriptTemplate } from './package.ts';

interface ServeOptions {
  readonly only: readonly ServiceName[];
  readonly logFormat: LogFormat;
  readonly verbose?: boolean;
  readonly kernelArgs?: string;
  readonly behindNginx?: number;
}

export function serveCommand(): Command {
  return new Command('serve')
    .description('serve DHCP/BOOTP, TFTP, HTTP and NFS in the foreground')
    .addOption(new Option('--only <services>', `a comma-separated choice of ${serviceNames.join(', ')}`).argParser(services).default(serviceNames, 'all'))
    .addOption(new Option('--log-format <format>', 'for people or for programs').choices(['pretty', 'json']).default('pretty'))
    .option('--kernel-args <args>', "added to every node's kernel command line")
    .option('--behind-nginx <port>', 'serve HTTP on this port of 127.0.0.1 for the nginx of: farm nginx', numberArgument(1, 65_535))
    .option('-v, --verbose', 'log more')
    .action(async (options: ServeOptions, command: Command) => {
      const log = openLog(options.logFormat, process.stdout, options.verbose === true ? 'debug' : 'info');
      keepPassed(passedSockets(process.env, process.pid));
      // They are this process's alone.
      const { NOTIFY_SOCKET, PATH } = process.env;
      for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES', 'NOTIFY_SOCKET']) delete process.env[name];
      const server = await startFarmServer({
        directory: farmDirectory(command),
        only: options.only,
        ...(options.behindNginx === undefined ? {} : { behindProxy: options.behindNginx }),
        builtinOverlay,
        programFiles: programFiles(),
        scriptTemplate: scriptTemplate(),
        kernelArgs: options.kernelArgs?.split(/\s+/).filter((arg) => arg !== '') ?? [],
        log,
        clock: systemClock,
      });
      const end = endingSignal();
      const untaken = untakenSockets();
      if (untaken.length > 0) log('warn', 'serve.sockets-untaken', { sockets: untaken, remedy: 'make the units anew: farm unit --sockets' });
      log('info', 'serve.ready', { sockets: server.sockets, pid: process.pid });
      await notifyReady({ NOTIFY_SOCKET, PATH }, `ready, on ${server.sockets.length} sockets`);
      const signal = await end;
      log('info', 'serve.ending', { signal });
      try {
        await server.close();
      } catch (error) {
        log('error', 'serve.ended', { error: sentence(error) });
        process.exitCode = 2;
        return;
      }
      log('info', 'serve.ended');
    });
}

function services(text: string): readonly ServiceName[] {
  return text.split(',').map((word) => {
    const name = serviceNames.find((candidate) => candidate === word.trim());
    if (name === undefined) throw new InvalidArgumentError(`Services are ${serviceNames.join(', ')}.`);
    return name;
  });
}

/** The first SIGTERM or SIGINT. A second one ends the process at once. */
function endingSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        resolve(signal);
        process.once(signal, () => process.exit(2));
      });
    }
  });
}
