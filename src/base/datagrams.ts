// The door to UDP: a bound socket, if wanted tied to one network interface (SO_BINDTODEVICE, socket(7)), or an error that says what to do.
import { spawn } from 'node:child_process';
import { type BindOptions, createSocket, type Socket } from 'node:dgram';
import { constants } from 'node:os';
import type { Ipv4 } from './addresses.ts';
import { FarmError, sentence, systemCode } from './errors.ts';
import { takePassed } from './passed-sockets.ts';

export interface UdpOptions {
  /** `0.0.0.0` to hear broadcasts: Linux does not deliver 255.255.255.255 to a socket bound to a unicast address. */
  readonly address: Ipv4;
  /** 0 lets the system choose. */
  readonly port: number;
  /** Name of the only interface this socket hears and speaks on, e.g. `eth1`. */
  readonly interface?: string;
  /** Allows sending to broadcast addresses. */
  readonly broadcast?: boolean;
  /**
   * Bytes of received datagrams, with the kernel's bookkeeping, that may wait for this process. More than net.core.rmem_max only for a socket tied to
   * an interface, and with CAP_NET_ADMIN; without, as much as the system allows.
   */
  readonly receiveBuffer?: number;
}

/** IFNAMSIZ of Linux is 16 with the final NUL. */
const longestInterfaceName = 15;

// node:dgram can neither set SO_BINDTODEVICE nor create a socket before its bind(2). Socket options belong to the open file, though, not to
// the process: a child that inherits the descriptor can set them. perl-base is Essential on Debian and needs no module for it. Numbers of
// Linux on x86 and ARM: SOL_SOCKET 1, SO_BINDTODEVICE 25, SO_RCVBUFFORCE 33, AF_INET 2, SOCK_DGRAM 2. Both programs exit with errno.
const tieProgram =
  'open(my $s, "+<&=", 3) or exit $!; setsockopt($s, 1, 25, "$ARGV[0]\\0") or exit $!; $ARGV[1] and setsockopt($s, 1, 33, pack("i", $ARGV[1]))';
const probeProgram =
  'socket(my $s, 2, 2, 17) or exit $!; setsockopt($s, 1, 25, "$ARGV[0]\\0") or exit $!; ' +
  'bind($s, pack("S n C4 x8", 2, $ARGV[2], split(/\\./, $ARGV[1]))) or exit $!';

/**
 * Binds a UDP/IPv4 socket. Throws `FarmError`: `port.taken`, `port.privilege`, `address.absent`, `interface.absent`, `interface.bind`.
 * Datagrams that reach a tied socket before it is tied are lost, not delivered: listeners can be added only to the resolved socket.
 */
export async function openUdp(options: UdpOptions): Promise<Socket> {
  const { interface: name } = options;
  const passed = takePassed({ transport: 'udp', ...options });
  if (passed !== undefined) return adoptUdp(passed, options);
  if (name !== undefined) {
    // The bind below needs SO_REUSEADDR, or two of our sockets on port 67 of two interfaces would exclude each other before they are tied.
    // With it a foreign server on the same interface would go unnoticed, so somebody without it looks first.
    await asPerl(options, name, probeProgram, [name, options.address, String(options.port)]);
  }
  const socket = unboundUdp(name !== undefined);
  try {
    await bind(socket, { port: options.port, address: options.address, exclusive: true });
    if (options.broadcast === true) socket.setBroadcast(true);
    const { receiveBuffer } = options;
    if (receiveBuffer !== undefined) socket.setRecvBufferSize(receiveBuffer);
    if (name !== undefined) await asPerl(options, name, tieProgram, [name, String(receiveBuffer ?? 0)], descriptor(socket, name));
    return socket;
  } catch (error) {
    socket.close();
    const code = systemCode(error);
    throw error instanceof FarmError || code === undefined ? error : bindError(options, code, error);
  }
}

/** Peers are named by address only: without the detour through the resolver a datagram is sent at once and costs half as much. */
function unboundUdp(reuseAddr: boolean): Socket {
  return createSocket({ type: 'udp4', reuseAddr, lookup: (address, _options, found) => found(null, address, 4) });
}

function bind(socket: Socket, to: BindOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(to, () => {
      socket.off('error', reject);
      resolve();
    });
  });
}

/** A socket that systemd bound, and tied. Its receive buffer may be larger than this process could make it. */
async function adoptUdp(fd: number, options: UdpOptions): Promise<Socket> {
  const { broadcast, receiveBuffer = 0 } = options;
  const socket = unboundUdp(false);
  try {
    await bind(socket, { fd, exclusive: true });
  } catch (error) {
    socket.close();
    const code = systemCode(error);
    throw code === undefined ? error : bindError(options, code, error);
  }
  if (broadcast === true) socket.setBroadcast(true);
  if (socket.getRecvBufferSize() < receiveBuffer) socket.setRecvBufferSize(receiveBuffer);
  return socket;
}

/**
 * The socket's descriptor. Node keeps it on the native handle and has no public way to it: Node 20, 22 and 24 all have `_handle`, marked
 * deprecated (DEP0112) with no replacement, so the warning that reading it prints at the operator is held back for that moment.
 */
function descriptor(socket: Socket, name: string): number {
  const { noDeprecation } = process;
  process.noDeprecation = true;
  const handle: unknown = Reflect.get(socket, '_handle');
  if (noDeprecation === undefined) delete process.noDeprecation;
  else process.noDeprecation = noDeprecation;
  const fd: unknown = typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'fd') : undefined;
  if (typeof fd === 'number' && fd >= 0) return fd;
  throw new FarmError(
    'interface.bind',
    `this Node.js (${process.version}) does not tell a socket's descriptor, so it cannot be tied to ${name}`,
    'use Node.js 20, 22 or 24',
  );
}

/** Runs a program above, with `fd` as its descriptor 3, and turns the errno it exits with into an error. */
async function asPerl(options: UdpOptions, name: string, program: string, args: readonly string[], fd?: number): Promise<void> {
  if (name === '' || name.length > longestInterfaceName || /[\s/\0]/.test(name)) {
    throw new FarmError('interface.absent', `"${name}" cannot be the name of a network interface`, 'list the names with: ip -br link');
  }
  const status = await new Promise<number | string>((resolve, reject) => {
    // Index 3, not 0 to 2: of these libuv would clear O_NONBLOCK, which the open file shares with our event loop.
    const child = spawn('perl', ['-e', program, ...args], { stdio: ['ignore', 'ignore', 'ignore', fd ?? 'ignore'] });
    child.once('error', (error) => {
      reject(
        new FarmError('interface.bind', `a socket cannot be tied to ${name}: perl did not start (${sentence(error)})`, 'apt-get install perl-base', error),
      );
    });
    child.once('exit', (code, signal) => resolve(code ?? signal ?? 'nothing'));
  });
  if (status === 0) return;
  const code = Object.entries(constants.errno).find(([, value]) => value === status)?.[0];
  if (code === 'ENODEV') {
    throw new FarmError('interface.absent', `there is no network interface ${name}`, 'list them with: ip -br link');
  }
  throw bindError(options, code ?? `perl ended with ${status}`);
}

function bindError(options: UdpOptions, code: string, cause?: unknown): FarmError {
  const { address, port, interface: name } = options;
  const where = `UDP port ${port}${name === undefined ? ` of ${address}` : ` on ${name}`}`;
  switch (code) {
    case 'EADDRINUSE':
      return new FarmError('port.taken', `${where} is used by another program`, `find it with: ss -lunp 'sport = :${port}'`, cause);
    case 'EACCES':
    case 'EPERM':
      return new FarmError(
        'port.privilege',
        `${where} may not be opened by this user`,
        'run as root, or in a systemd unit with AmbientCapabilities=CAP_NET_BIND_SERVICE CAP_NET_RAW',
        cause,
      );
    case 'EADDRNOTAVAIL':
      return new FarmError('address.absent', `${where}: this machine does not have the address ${address}`, 'list its addresses with: ip -br address', cause);
    default:
      return new FarmError('interface.bind', `${where} cannot be opened: ${code}`, undefined, cause);
  }
}
