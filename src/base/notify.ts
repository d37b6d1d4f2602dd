// Tells systemd that this service is ready: sd_notify(3), `Type=notify` of systemd.service(5). By systemd-notify(1), because Node.js has no datagram sockets of AF_UNIX.
import { run } from './processes.ts';

/** `status` is what `systemctl status` shows. Does nothing where no service manager listens. Throws `FarmError` `program.*`: the start would be waited for in vain. */
export async function notifyReady(environment: NodeJS.ProcessEnv, status: string): Promise<void> {
  if (environment['NOTIFY_SOCKET'] === undefined) return;
  await run('systemd-notify', ['--ready', `--status=${status}`], { env: environment });
}
