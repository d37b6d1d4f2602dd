// Where a stream server listens: a TCP port, or a unix socket for the programs of this machine.
import { chmod, lstat, unlink } from 'node:fs/promises';
import { connect, type Server } from 'node:net';
import type { Ipv4 } from '../base/addresses.ts';
import { FarmError, sentence, systemCode } from '../base/errors.ts';
import { takePassed } from '../base/passed-sockets.ts';

/** Port 0 lets the system choose. A unix socket is for this user only (mode 0600); one that a dead server left behind is replaced. */
export type HttpPlace = { readonly address: Ipv4; readonly port: number } | { readonly socketPath: string };

/** Throws `FarmError`: `port.taken`, `port.privilege`, `address.absent`, `port.failed`. */
export async function listen(server: Server, place: HttpPlace): Promise<void> {
  if ('socketPath' in place) await removeStale(place.socketPath);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      const bound = () => {
        server.off('error', reject);
        resolve();
      };
      if ('socketPath' in place) server.listen(place.socketPath, bound);
      else {
        const fd = takePassed({ transport: 'tcp', ...place });
        server.listen(fd === undefined ? { port: place.port, host: place.address } : { fd }, bound);
      }
    });
    if ('socketPath' in place) await chmod(place.socketPath, 0o600);
  } catch (error) {
    server.close();
    throw bindError(place, error);
  }
}

function bindError(place: HttpPlace, error: unknown): FarmError {
  const code = systemCode(error);
  if ('socketPath' in place) {
    return new FarmError('port.failed', `the control socket ${place.socketPath} cannot be made: ${sentence(error)}`, 'check its directory', error);
  }
  const where = `TCP port ${place.port} of ${place.address}`;
  switch (code) {
    case 'EADDRINUSE':
      return new FarmError('port.taken', `${where} is used by another program`, `find it with: ss -ltnp 'sport = :${place.port}'`, error);
    case 'EACCES':
    case 'EPERM':
      return new FarmError('port.privilege', `${where} may not be opened by this user`, 'run as root, or choose a port above 1023', error);
    case 'EADDRNOTAVAIL':
      return new FarmError(
        'address.absent',
        `${where}: this machine does not have the address ${place.address}`,
        'list its addresses with: ip -br address',
        error,
      );
    default:
      return new FarmError('port.failed', `${where} cannot be opened: ${sentence(error)}`, undefined, error);
  }
}

/** Removes a unix socket that nobody listens on any more; a listener or anything else at that path is left alone. */
async function removeStale(path: string): Promise<void> {
  const stats = await lstat(path).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw bindError({ socketPath: path }, error);
  });
  if (stats === undefined) return;
  if (!stats.isSocket()) throw new FarmError('port.taken', `${path} is in the way of the control socket`, 'move it away');
  const refused = await new Promise<boolean>((resolve) => {
    const probe = connect(path, () => {
      probe.destroy();
      resolve(false);
    });
    probe.once('error', (error) => resolve(systemCode(error) === 'ECONNREFUSED'));
  });
  if (!refused) throw new FarmError('port.taken', `another server listens at ${path}`, 'stop it first');
  await unlink(path);
}

/** For `Service.sockets`. */
export function socketName(server: Server, place: HttpPlace): string {
  const bound = server.address();
  if ('socketPath' in place) return `unix ${place.socketPath}`;
  return `tcp ${place.address}:${typeof bound === 'object' && bound !== null ? bound.port : place.port}`;
}
