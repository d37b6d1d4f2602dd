// The door to Ethernet frames: a packet socket on one interface (packet(7)), held by a child process because Node.js has no raw sockets.
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { constants } from 'node:os';
import type { Readable, Writable } from 'node:stream';
import { type Mac, macFromBytes } from './addresses.ts';
import { FarmError, sentence } from './errors.ts';

/** One instruction of a socket filter (struct sock_filter of linux/filter.h): code, jump if true, jump if false, operand. */
export type FilterInstruction = readonly [code: number, jt: number, jf: number, k: number];

export interface FrameOptions {
  readonly interface: string;
  /** E.g. 0x86dd. No other frames are heard; 0: none at all, and the interface's traffic never comes near the socket. */
  readonly etherType: number;
  /** Chooses in the kernel, from the start of the Ethernet header, so that the interface's other traffic costs nothing. */
  readonly filter: readonly FilterInstruction[];
  /** IPv6 multicast groups, 16 bytes each, that card and switches have to pass on to here. */
  readonly groups: readonly Buffer[];
  /** A frame with its Ethernet header, without padding removed or checksums checked. */
  readonly onFrame: (frame: Buffer) => void;
  /** The socket is open; `address` is the interface's own. */
  readonly onOpen: (address: Mac) => void;
  /** It could not be opened, or was lost; it is tried again in `retryMilliseconds`. */
  readonly onLost: (error: FarmError, retryMilliseconds: number) => void;
}

export interface FrameDoor {
  /** Settles after the first try, with `onOpen` or `onLost` called. */
  readonly tried: Promise<void>;
  /** Sends a whole frame, from its Ethernet header on. False if the socket is not open or the interface does not keep up: the frame is dropped. */
  send(frame: Buffer): boolean;
  /** The interface's own address while the socket is open. */
  readonly address: Mac | undefined;
  /** May be called twice. */
  close(): Promise<void>;
}

// Numbers of Linux on x86 and ARM: AF_PACKET 17, SOCK_RAW 3, SOL_SOCKET 1, SO_ATTACH_FILTER 26, SIOCGIFINDEX 0x8933, SIOCGIFHWADDR 0x8927,
// ARPHRD_ETHER 1, EAFNOSUPPORT 97, SIOCGIFFLAGS 0x8913, IFF_UP 1, ENETDOWN 100, AF_INET6 10, SOCK_DGRAM 2, IPPROTO_IPV6 41, IPV6_JOIN_GROUP 20,
// PACKET_OTHERHOST 3, ENOBUFS 105 (a full transmit queue: that frame is dropped). Records both ways are a 16-bit length and that many bytes; the first one out is the interface's address. The socket hears
// nothing before bind, so nothing unfiltered. It ends with its stdin, so with its parent, and not by the Ctrl-C that the terminal sends to
// both. Errors: it exits with errno.
const program = `
my ($name, $type, $filter, @groups) = @ARGV;
$SIG{$_} = "IGNORE" for qw(INT TERM HUP);
socket(my $socket, 17, 3, 0) or exit $!;
my $code = pack("(SCCL)*", split(/ /, $filter));
setsockopt($socket, 1, 26, pack("S x![P] P", length($code) / 8, $code)) or exit $!;
ioctl($socket, 0x8933, my $request = pack("a16 x24", $name)) or exit $!;
my $index = unpack("x16 i", $request);
ioctl($socket, 0x8927, $request = pack("a16 x24", $name)) or exit $!;
my ($kind, $address) = unpack("x16 S a6", $request);
$kind == 1 or exit 97;
ioctl($socket, 0x8913, $request = pack("a16 x24", $name)) or exit $!;
unpack("x16 S", $request) & 1 or exit 100;
my $member;
if (@groups) { socket($member, 10, 2, 0) or exit $!; }
for (@groups) { setsockopt($member, 41, 20, pack("H32 i", $_, $index)) or exit $!; }
bind($socket, pack("S n i S C C x8", 17, $type, $index, 0, 0, 0)) or exit $!;
syswrite(STDOUT, pack("n/a*", $address)) or exit 0;
my $in = "";
for (;;) {
  my $ready = "";
  vec($ready, $_, 1) = 1 for 0, fileno($socket);
  select($ready, undef, undef, undef);
  if (vec($ready, fileno($socket), 1)) {
    my $from = recv($socket, my $frame, 9216, 0);
    defined $from or exit $!;
    if (unpack("x10 C", $from) != 3) { syswrite(STDOUT, pack("n/a*", $frame)) or exit 0; }
  }
  if (vec($ready, 0, 1)) {
    sysread(STDIN, $in, 65536, length $in) or exit 0;
    while (length $in >= 2 && length $in >= 2 + unpack("n", $in)) {
      my $frame = unpack("n/a*", $in);
      substr($in, 0, 2 + length $frame, "");
      defined send($socket, $frame, 0) or $! == 105 or exit $!;
    }
  }
}
`;

/** IFNAMSIZ of Linux is 16 with the final NUL. */
const interfaceName = /^[^\s/\0]{1,15}$/;

/** How much may wait for the child: beyond it frames are dropped, as a full transmit queue would. */
const sendQueueBytes = 1 << 20;

/** Twice as long from try to try: an interface that comes back is noticed soon, one that stays away costs a process every half minute. */
const firstRetry = 1_000;
const lastRetry = 30_000;

/** A socket that lasted so long was right; its loss is a new trouble, not the old one again. */
const steadyMilliseconds = 60_000;

/** A child that has not ended by then, after its stdin did, never will. */
const endMilliseconds = 2_000;

type Child = ChildProcessByStdio<Writable, Readable, null>;

/** Never throws: what is wrong goes to `onLost`, and it keeps trying. Nothing is called before this returns. */
export function openFrames(options: FrameOptions): FrameDoor {
  return new Frames(options);
}

class Frames implements FrameDoor {
  readonly tried: Promise<void>;
  private readonly options: FrameOptions;
  private child: Child | undefined;
  private ended: Promise<void> = Promise.resolve();
  private own: Mac | undefined;
  private isCorked = false;
  private isClosed = false;
  private timer: NodeJS.Timeout | undefined;
  private retry = firstRetry;

  constructor(options: FrameOptions) {
    this.options = options;
    this.tried = this.open();
  }

  get address(): Mac | undefined {
    return this.own;
  }

  /** Settles when the child has opened its socket or has ended. */
  private async open(): Promise<void> {
    const { interface: name, etherType, filter, groups } = this.options;
    if (!interfaceName.test(name)) {
      await undefined; // the caller has no door yet
      this.lost(new FarmError('interface.absent', `"${name}" cannot be the name of a network interface`, 'list the names with: ip -br link'), 0);
      return;
    }
    const args = [name, String(etherType), filter.flat().join(' '), ...groups.map((group) => group.toString('hex'))];
    const child = spawn('perl', ['-e', program, '--', ...args], { stdio: ['pipe', 'pipe', 'ignore'] });
    this.child = child;
    child.stdin.on('error', () => {}); // the child has ended, which its exit tells
    await new Promise<void>((opened) => {
      let openedAt: number | undefined;
      const records = recordReader((record) => {
        if (openedAt !== undefined) return this.options.onFrame(record);
        openedAt = performance.now();
        this.own = macFromBytes(record);
        this.options.onOpen(this.own);
        opened();
      });
      child.stdout.on('data', records);
      this.ended = new Promise((resolve) => {
        const end = (error: FarmError): void => {
          this.child = undefined;
          this.own = undefined;
          this.lost(error, openedAt === undefined ? 0 : performance.now() - openedAt);
          opened();
          resolve();
        };
        child.once('error', (error) => {
          if (child.pid === undefined) end(new FarmError('frames.perl', `perl did not start (${sentence(error)})`, 'apt-get install perl-base', error));
        });
        child.once('close', (status, signal) => {
          if (child.pid !== undefined) end(frameError(name, status ?? signal));
        });
      });
    });
  }

  private lost(error: FarmError, lasted: number): void {
    if (this.isClosed) return;
    if (lasted >= steadyMilliseconds) this.retry = firstRetry;
    const retry = this.retry;
    this.retry = Math.min(lastRetry, retry * 2);
    this.timer = setTimeout(() => void this.open(), retry);
    this.options.onLost(error, retry);
  }

  send(frame: Buffer): boolean {
    const { child } = this;
    if (child === undefined || this.own === undefined || child.stdin.writableLength > sendQueueBytes) return false;
    if (!this.isCorked) {
      // What one turn of the event loop sends goes through the pipe in one system call.
      this.isCorked = true;
      child.stdin.cork();
      process.nextTick(() => {
        this.isCorked = false;
        child.stdin.uncork();
      });
    }
    const record = Buffer.allocUnsafe(2 + frame.length);
    record.writeUInt16BE(frame.length);
    record.set(frame, 2);
    child.stdin.write(record);
    return true;
  }

  async close(): Promise<void> {
    this.isClosed = true;
    clearTimeout(this.timer);
    const { child } = this;
    child?.stdin.end();
    const late = setTimeout(() => child?.kill('SIGKILL'), endMilliseconds);
    await this.ended;
    clearTimeout(late);
  }
}

/** Puts records together again, however the stream cut them. */
function recordReader(onRecord: (record: Buffer) => void): (chunk: Buffer) => void {
  let pending: Buffer = Buffer.alloc(0);
  return (chunk) => {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    for (;;) {
      if (pending.length < 2) return;
      const end = 2 + pending.readUInt16BE(0);
      if (pending.length < end) return;
      onRecord(pending.subarray(2, end));
      pending = pending.subarray(end);
    }
  };
}

/** `status` is the errno that the child exited with, or the signal that ended it. */
function frameError(name: string, status: number | string | null): FarmError {
  const code = Object.entries(constants.errno).find(([, value]) => value === status)?.[0] ?? `perl ended with ${status}`;
  switch (code) {
    case 'ENODEV':
    case 'ENXIO':
      return new FarmError('interface.absent', `there is no network interface ${name}`, 'list them with: ip -br link');
    case 'ENETDOWN':
      return new FarmError('interface.down', `the network interface ${name} is down`, `switch it on with: ip link set ${name} up`);
    case 'EACCES':
    case 'EPERM':
      return new FarmError(
        'frames.privilege',
        `this user may not open a packet socket on ${name}`,
        'run as root, or under systemd with AmbientCapabilities=CAP_NET_RAW',
      );
    case 'EAFNOSUPPORT':
      return new FarmError(
        'frames.unsupported',
        `${name} is no Ethernet interface, or this kernel runs without IPv6`,
        'look for ipv6.disable=1 in /proc/cmdline',
      );
    default:
      return new FarmError('frames.failed', `the packet socket on ${name} ended: ${code}`);
  }
}
