// Asks behind routers whether anybody uses an address: ICMP echo (RFC 792), by a raw socket that a child process holds. The routing table decides where.
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { constants } from 'node:os';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { type Ipv4, parseIpv4 } from './addresses.ts';
import { FarmError, sentence } from './errors.ts';
import { Askings, type ProbeDoor, type ProbeDoorOptions } from './probe.ts';

// Numbers of Linux on x86 and ARM: AF_INET 2, SOCK_RAW 3, IPPROTO_ICMP 1, SOL_RAW 255, ICMP_FILTER 1 (a set bit keeps that type out). Not the socket of
// ping_group_range, which is shut for everybody, root too, on Debian. In comes an address a line; out go `open`, `answer ADDRESS`, `failed ADDRESS`.
// Echoes of other programs differ in the identifier. It ends with its stdin, so with its parent, and not by the Ctrl-C that the terminal sends to
// both. Errors: it exits with errno.
const program = `
$SIG{$_} = "IGNORE" for qw(INT TERM HUP);
socket(my $socket, 2, 3, 1) or exit $!;
setsockopt($socket, 255, 1, pack("L", 0xfffffffe)) or exit $!;
my $id = $$ & 0xffff;
my $sum = 0x0800 + $id;
$sum = ($sum & 0xffff) + ($sum >> 16);
my $echo = pack("CCnnn", 8, 0, ~$sum & 0xffff, $id, 0);
syswrite(STDOUT, "open\\n") or exit 0;
my $in = "";
for (;;) {
  my $ready = "";
  vec($ready, $_, 1) = 1 for 0, fileno($socket);
  select($ready, undef, undef, undef);
  if (vec($ready, fileno($socket), 1)) {
    defined recv($socket, my $packet, 2048, 0) or exit $!;
    my $length = 4 * (unpack("C", $packet) & 15);
    if (length $packet >= $length + 8 && length $packet >= 20) {
      my ($type, $echoed) = unpack("C x3 n", substr($packet, $length));
      if ($type == 0 && $echoed == $id) { syswrite(STDOUT, "answer " . join(".", unpack("x12 C4", $packet)) . "\\n") or exit 0; }
    }
  }
  if (vec($ready, 0, 1)) {
    sysread(STDIN, $in, 65536, length $in) or exit 0;
    while ($in =~ s/^([0-9.]+)\\n//) {
      my $to = pack("S n C4 x8", 2, 0, split(/\\./, $1));
      if (!defined send($socket, $echo, 0, $to)) { syswrite(STDOUT, "failed $1\\n") or exit 0; }
    }
  }
}
`;

/** As in frames.ts: soon at first, then a process every half minute. */
const firstRetry = 1_000;
const lastRetry = 30_000;
const steadyMilliseconds = 60_000;

/** A child that has not ended by then, after its stdin did, never will. */
const endMilliseconds = 2_000;

type Child = ChildProcessByStdio<Writable, Readable, null>;

/** Never throws: what is wrong goes to `onLost`, and it keeps trying. */
export function openPing(options: ProbeDoorOptions): ProbeDoor {
  return new Pings(options);
}

class Pings implements ProbeDoor {
  readonly tried: Promise<void>;
  isOpen = false;
  private readonly options: ProbeDoorOptions;
  private readonly askings: Askings;
  private child: Child | undefined;
  private ended: Promise<void> = Promise.resolve();
  private isClosed = false;
  private timer: NodeJS.Timeout | undefined;
  private retry = firstRetry;

  constructor(options: ProbeDoorOptions) {
    this.options = options;
    this.askings = new Askings((address) => this.send(address));
    this.tried = this.open();
  }

  /** Settles when the child has opened its socket or has ended. */
  private async open(): Promise<void> {
    const child = spawn('perl', ['-e', program], { stdio: ['pipe', 'pipe', 'ignore'] });
    this.child = child;
    child.stdin.on('error', () => {}); // the child has ended, which its exit tells
    await new Promise<void>((opened) => {
      let openedAt: number | undefined;
      createInterface({ input: child.stdout }).on('line', (line) => {
        if (line === 'open') {
          openedAt = performance.now();
          this.isOpen = true;
          this.options.onOpen();
          opened();
        } else this.hear(line);
      });
      this.ended = new Promise((resolve) => {
        const end = (error: FarmError): void => {
          this.child = undefined;
          this.isOpen = false;
          this.askings.abandon();
          this.lost(error, openedAt === undefined ? 0 : performance.now() - openedAt);
          opened();
          resolve();
        };
        child.once('error', (error) => {
          if (child.pid === undefined) end(new FarmError('ping.perl', `perl did not start (${sentence(error)})`, 'apt-get install perl-base', error));
        });
        child.once('close', (status, signal) => {
          if (child.pid !== undefined) end(pingError(status ?? signal));
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

  private hear(line: string): void {
    const [what, text = ''] = line.split(' ');
    const address = parseIpv4(text);
    if (address !== undefined) this.askings.settle(address, { kind: what === 'answer' ? 'answered' : 'unknown' });
  }

  private send(address: Ipv4): boolean {
    if (this.child === undefined || !this.isOpen) return false;
    this.child.stdin.write(`${address}\n`);
    return true;
  }

  probe(address: Ipv4): ReturnType<ProbeDoor['probe']> {
    return this.askings.ask(address);
  }

  async close(): Promise<void> {
    this.isClosed = true;
    this.isOpen = false;
    this.askings.abandon();
    clearTimeout(this.timer);
    const { child } = this;
    child?.stdin.end();
    const late = setTimeout(() => child?.kill('SIGKILL'), endMilliseconds);
    await this.ended;
    clearTimeout(late);
  }
}

/** `status` is the errno that the child exited with, or the signal that ended it. */
function pingError(status: number | string | null): FarmError {
  const code = Object.entries(constants.errno).find(([, value]) => value === status)?.[0] ?? `perl ended with ${status}`;
  if (code === 'EACCES' || code === 'EPERM') {
    return new FarmError(
      'ping.privilege',
      'this user may not open a raw ICMP socket',
      'run as root, or in a systemd unit with AmbientCapabilities=CAP_NET_RAW',
    );
  }
  return new FarmError('ping.failed', `the ICMP socket ended: ${code}`);
}
