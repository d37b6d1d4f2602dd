// A Debian machine in QEMU with a shell on its serial line and a network card: other people's kernel clients for our servers. It boots from no network, so
// that the server under test may be anything and may be away.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '../../src/base/processes.ts';
import { encodeCpio } from '../../src/image/cpio.ts';
import { kernelRelease } from '../../src/image/initramfs.ts';
import { labKernelArgs } from '../../src/lab/lab.ts';

export interface GuestOptions {
  /** A built image: its kernel, its initramfs' drivers, and `root.squashfs` as the machine's own root unless `root` is given. */
  readonly image: string;
  /** Another root, a squashfs too; it needs no kernel. */
  readonly root?: string;
  /** A tar that is unpacked at `/`. */
  readonly files?: string;
  /** The namespace that has `tap`, and the address that the machine gives its card: `10.11.0.11/24`. */
  readonly space: string;
  readonly tap: string;
  readonly mac: string;
  readonly address: string;
  readonly memoryMiB?: number;
  /** Whether the root's systemd is its first program, rather than a shell alone. */
  readonly systemd?: boolean;
  /** Where its files are put: the initramfs, and `console.log`. */
  readonly scratch: string;
}

const init = fileURLToPath(new URL('guest-init.sh', import.meta.url));
/** The kernel reads archives one after another if each begins at a multiple of this. */
const archiveAlignment = 4;
/** Emulated on a busy machine. */
const bootSeconds = 120;
/** The shell of `guest-init.sh` has the serial line, and nothing waits for a network that nobody configures. */
const systemdArgs = ' guest.systemd systemd.show_status=no systemd.mask=serial-getty@ttyS0.service systemd.mask=systemd-networkd-wait-online.service';

export class Guest {
  private readonly child: ChildProcess;
  private readonly log: string;
  private text = '';
  private readonly waiting = new Set<() => void>();
  private marks = 0;

  private constructor(child: ChildProcess, log: string) {
    this.child = child;
    this.log = log;
    child.stdout?.setEncoding('latin1').on('data', (text: string) => {
      this.text += text;
      writeFileSync(log, text, { flag: 'a', encoding: 'latin1' });
      this.wake();
    });
    child.once('exit', () => this.wake());
  }

  /** Settles when the machine's shell answers. */
  static async start(options: GuestOptions): Promise<Guest> {
    const { image, space, tap, mac, scratch } = options;
    const log = join(scratch, 'console.log');
    writeFileSync(log, '');
    const initrd = join(scratch, 'initrd');
    copyFileSync(join(image, 'initramfs'), initrd);
    const before = readFileSync(initrd).length;
    writeFileSync(initrd, Buffer.concat([Buffer.alloc(-before & (archiveAlignment - 1)), await additions(options)]), { flag: 'a' });
    const drives = [options.root ?? join(image, 'root.squashfs'), ...(options.files === undefined ? [] : [options.files])];
    const child = spawn(
      'ip',
      [
        ...['netns', 'exec', space, 'qemu-system-x86_64', '-accel', 'tcg,thread=multi,tb-size=256', '-cpu', 'max', '-m', String(options.memoryMiB ?? 512)],
        ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-serial', 'stdio'],
        ...['-kernel', join(image, 'kernel'), '-initrd', initrd],
        ...['-append', `${labKernelArgs} quiet panic=-1 guest.address=${options.address}${options.systemd === true ? systemdArgs : ''}`],
        ...['-netdev', `tap,id=n0,ifname=${tap},script=no,downscript=no`, '-device', `virtio-net-pci,netdev=n0,mac=${mac},romfile=`],
        ...drives.flatMap((file) => ['-drive', `if=virtio,format=raw,readonly=on,file=${file}`]),
      ],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    );
    const guest = new Guest(child, log);
    await guest.until(/guest ready\r?\n/, bootSeconds);
    return guest;
  }

  /** Runs lines of shell and gives what they print. Throws if the last one's status is not 0, or it takes longer than `seconds`. */
  async run(lines: string, seconds = 60): Promise<string> {
    this.marks += 1;
    const mark = `mark${this.marks}`;
    // In halves, which the shell joins: an echo of what is typed must not be taken for the answer.
    this.child.stdin?.write(`echo '${mark}'-'begin'; { ${lines}\n}; echo '${mark}'-'end' $?\n`);
    const [, said = '', status] = await this.until(new RegExp(`${mark}-begin\\r?\\n([\\s\\S]*?)${mark}-end (\\d+)\\r?\\n`), seconds);
    const text = said.replaceAll('\r', '').trim();
    if (status !== '0') throw new Error(`status ${status} of: ${lines}\n${text}`);
    return text;
  }

  /** Settles when what now runs has printed this. */
  async printed(pattern: RegExp, seconds = 60): Promise<void> {
    await this.until(pattern, seconds, 'keep');
  }

  /** Waits for text on the console; takes it and what stands before it away, unless it is to be kept. */
  private async until(pattern: RegExp, seconds: number, then: 'take' | 'keep' = 'take'): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const check = (): void => {
        const match = pattern.exec(this.text);
        if (match === null && !this.ended) return;
        this.waiting.delete(check);
        clearTimeout(timer);
        if (match === null) {
          reject(new Error(`the machine ended; see ${this.log}: ${this.text.slice(-600)}`));
          return;
        }
        if (then === 'take') this.text = this.text.slice(match.index + match[0].length);
        resolve(match);
      };
      const timer = setTimeout(() => {
        this.waiting.delete(check);
        reject(new Error(`${pattern} did not come in ${seconds} s; the console ends with: ${this.text.slice(-1500)}`));
      }, seconds * 1000);
      this.waiting.add(check);
      check();
    });
  }

  private wake(): void {
    for (const check of this.waiting) check();
  }

  private get ended(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  async off(): Promise<void> {
    if (this.ended) return;
    const exit = once(this.child, 'exit');
    this.child.kill();
    await exit;
  }
}

/** What the image's initramfs has not: our init, and the client for version 2 with what it needs. */
async function additions({ image }: GuestOptions): Promise<Buffer> {
  const all = join(image, 'root/usr/lib/modules');
  const modules = join(all, kernelRelease(all));
  const nfsv2 = await run('xz', ['-dc', join(modules, 'kernel/fs/nfs/nfsv2.ko.xz')]);
  return encodeCpio([
    { path: 'init', mode: 0o755, kind: 'file', data: readFileSync(init) },
    { path: 'nfsv2.ko', mode: 0o644, kind: 'file', data: nfsv2 },
  ]);
}
