import { describe, expect, it, test } from 'vitest';
import { type Ipv4, mac } from '../../src/base/addresses.ts';
import { type BootAction, type BootPlan, kernelCommandLine, type LoaderChoice, nextBoot } from '../../src/boot/plan.ts';
import type { BootClient } from '../../src/dhcp/pxe.ts';

const plan: BootPlan = {
  node: 'n1',
  mac: mac('52:54:00:12:34:56'),
  address: '10.11.0.10' as Ipv4,
  server: '10.11.0.1' as Ipv4,
  httpPort: 80,
  image: { name: 'debian-13', version: '0123456789ab' },
  kernelArgs: ['quiet', 'console=ttyS1'],
  root: { kind: 'nfs' },
  loader: 'auto',
  action: 'default',
};

function client(values: Partial<BootClient>): BootClient {
  return { firmware: 'bios', loader: 'rom', http: false, pxe: true, bootp: false, architectures: [0], features: new Set(), ...values };
}

const efi: Partial<BootClient> = { firmware: 'efi-x64', architectures: [7] };
const uefiHttp: Partial<BootClient> = { firmware: 'efi-x64', architectures: [16], http: true, pxe: false };
const ipxe: Partial<BootClient> = { loader: 'ipxe', features: new Set(['http', 'tftp', 'bzimage', 'menu']) };
const etherboot: Partial<BootClient> = { loader: 'etherboot', pxe: false };
const bootpRom: Partial<BootClient> = { loader: 'none', pxe: false, bootp: true, architectures: [] };

/** `tftp loaders/x` for what lies there, `http loaders/x`, or the path or URL whole; `- reason` for nothing. */
function next(values: Partial<BootClient>, change: Partial<BootPlan> = {}): string {
  const file = nextBoot(client(values), { ...plan, ...change });
  if (file.kind === 'nothing') return `- ${file.reason}`;
  const place = 'images/debian-13/0123456789ab/';
  return file.kind === 'tftp' ? `tftp ${file.file.replace(place, '')}` : file.url.replace('http://10.11.0.1/', 'http ').replace(place, '');
}

describe('the loader that a ROM gets', () => {
  const choices: readonly LoaderChoice[] = ['auto', 'ipxe', 'ipxe-snp', 'pxelinux', 'grub', 'shim', 'nbi'];
  test.each<[string, Partial<BootClient>, readonly string[]]>([
    ['BIOS', {}, ['undionly.kpxe', 'ipxe.pxe', 'undionly.kpxe', 'pxelinux.0', 'undionly.kpxe', 'undionly.kpxe', 'undionly.kpxe']],
    ['UEFI', efi, ['snponly.efi', 'ipxe.efi', 'snponly.efi', 'snponly.efi', 'grubx64.efi', 'shimx64.efi', 'snponly.efi']],
    ['UEFI by HTTP', uefiHttp, ['snponly.efi', 'ipxe.efi', 'snponly.efi', 'snponly.efi', 'grubx64.efi', 'shimx64.efi', 'snponly.efi']],
  ])('of %s follows the choice, and is the automatic one where the firmware has nothing for it', (_, values, expected) => {
    const by = values.http === true ? 'http' : 'tftp';
    expect(choices.map((loader) => next(values, { loader }))).toEqual(expected.map((name) => `${by} loaders/${name}`));
  });

  test.each<[string, Partial<BootClient>, readonly string[]]>([
    ['BIOS', {}, ['undionly.kpxe', 'ipxe.pxe', 'pxelinux.0', 'undionly.kpxe']],
    ['UEFI', efi, ['snponly.efi', 'shimx64.efi', 'ipxe.efi', 'snponly.efi']],
  ])('of %s is another after each boot that ended with a loader', (_, values, expected) => {
    expect([0, 1, 2, 3].map((failedBoots) => next(values, { failedBoots }))).toEqual(expected.map((name) => `tftp loaders/${name}`));
  });

  it('that somebody chose stays, however often it fails', () => {
    expect(next(efi, { loader: 'ipxe', failedBoots: 5 })).toBe('tftp loaders/ipxe.efi');
  });

  test.each<BootAction>(['local', 'memtest', 'shell', 'reinstall'])('is the same for the action %s, which is in its menu', (action) => {
    expect([next({}, { action }), next(efi, { action })]).toEqual(['tftp loaders/undionly.kpxe', 'tftp loaders/snponly.efi']);
  });
});

describe('what a loader gets', () => {
  test.each<[string, Partial<BootClient>, Partial<BootPlan>, string]>([
    ['an iPXE its script by HTTP', ipxe, {}, 'http boot/n1.ipxe'],
    ['an iPXE its script from another port', ipxe, { httpPort: 8080 }, 'http://10.11.0.1:8080/boot/n1.ipxe'],
    ['an iPXE without HTTP its script by TFTP', { loader: 'ipxe', features: new Set(['tftp']) }, {}, 'tftp boot/n1.ipxe'],
    ['an iPXE that says PXEClient too its script, never its own binary again', { ...ipxe, pxe: true }, { loader: 'ipxe' }, 'http boot/n1.ipxe'],
    ['an iPXE the GRUB that was chosen', { ...ipxe, ...efi }, { loader: 'grub' }, 'tftp loaders/grubx64.efi'],
    ['an iPXE the PXELINUX that was chosen', ipxe, { loader: 'pxelinux' }, 'tftp loaders/pxelinux.0'],
    ['an iPXE its script where the chosen loader is of other firmware', ipxe, { loader: 'grub' }, 'http boot/n1.ipxe'],
    ['an iPXE that knows net boot images one if that is chosen', { loader: 'ipxe', features: new Set(['http', 'nbi']) }, { loader: 'nbi' }, 'tftp boot/n1.nbi'],
    [
      'an iPXE its script for what no net boot image does',
      { loader: 'ipxe', features: new Set(['http', 'nbi']) },
      { loader: 'nbi', action: 'local' },
      'http boot/n1.ipxe',
    ],
    ['an iPXE that knows none its script', ipxe, { loader: 'nbi' }, 'http boot/n1.ipxe'],
    ['an Etherboot a net boot image', etherboot, {}, 'tftp boot/n1.nbi'],
    ['an Etherboot a net boot image, whatever the loader', etherboot, { loader: 'grub' }, 'tftp boot/n1.nbi'],
    ['an Etherboot memtest as one', etherboot, { action: 'memtest' }, 'tftp boot/n1.nbi'],
    ['an Etherboot nothing if it is to boot from its disk', etherboot, { action: 'local' }, '- it is to boot from its own disk'],
    ['a BOOTP ROM a net boot image', bootpRom, {}, 'tftp boot/n1.nbi'],
    ['a BOOTP ROM a net boot image that was chosen', bootpRom, { loader: 'nbi' }, 'tftp boot/n1.nbi'],
  ])('%s', (_, values, change, expected) => {
    expect(next(values, change)).toBe(expected);
  });

  test.each<[string, Partial<BootClient>, string]>([
    ['an operating system', { loader: 'none', pxe: false }, '- an operating system needs no boot file'],
    ['UEFI on ARM', { firmware: 'efi-arm64' }, '- efi-arm64 firmware cannot start a kernel for x86-64'],
    ['UEFI of 32 bits', { firmware: 'efi-ia32' }, '- efi-ia32 firmware cannot start a kernel for x86-64'],
    ['a Raspberry Pi', { firmware: 'rpi' }, '- rpi firmware cannot start a kernel for x86-64'],
    ['an iPXE on ARM', { ...ipxe, firmware: 'efi-arm64' }, '- efi-arm64 firmware cannot start a kernel for x86-64'],
    ['an architecture that nobody knows', { firmware: 'other' }, '- other firmware cannot start a kernel for x86-64'],
    ['U-Boot', { loader: 'uboot' }, '- U-Boot starts no kernel for x86-64'],
  ])('nothing if it is %s, and the log can say why', (_, values, expected) => {
    expect(next(values)).toBe(expected);
    expect(nextBoot(client(values), plan).kind).toBe('nothing');
  });

  it('never leads a client to the file that it has just loaded', () => {
    for (const loader of ['auto', 'ipxe', 'ipxe-snp', 'pxelinux', 'grub', 'shim', 'nbi'] as const) {
      expect(next({ ...ipxe, ...efi }, { loader })).not.toMatch(/loaders\/.*(ipxe|undionly|snponly)/);
      expect(next(ipxe, { loader })).not.toMatch(/loaders\/.*(ipxe|undionly|snponly)/);
    }
  });
});

describe('the kernel command line', () => {
  const root = 'farm.root=10.11.0.1:/debian-13/0123456789ab,nocto';
  const consoles = 'console=ttyS0,115200 console=tty0 quiet console=ttyS1';
  it('names card, server and root, and the profile has the last word', () => {
    expect(kernelCommandLine({ ...plan, httpPort: 8080 })).toBe(`BOOTIF=01-52-54-00-12-34-56 farm.server=10.11.0.1:8080 ${root} ${consoles}`);
  });

  it('names no card that is not known', () => {
    const { mac: _, ...unknown } = plan;
    expect(kernelCommandLine(unknown)).toBe(`farm.server=10.11.0.1 ${root} ${consoles}`);
  });

  test.each<[BootAction, string]>([
    ['shell', 'farm.action=shell '],
    ['reinstall', 'farm.action=reinstall farm.script=/boot/n1/reinstall '],
    ['default', ''],
  ])('tells the initramfs of the action %s', (action, words) => {
    expect(kernelCommandLine({ ...plan, action })).toBe(`BOOTIF=01-52-54-00-12-34-56 farm.server=10.11.0.1 ${root} ${words}${consoles}`);
  });

  it('names the root in one file with its checksum and size', () => {
    const packed = { kind: 'ram', file: 'root.squashfs', sha256: 'ab'.repeat(32), bytes: 123 } as const;
    expect(kernelCommandLine({ ...plan, root: packed })).toContain(
      ` farm.root=ram:http://10.11.0.1/images/debian-13/0123456789ab/root.squashfs,sha256=${'ab'.repeat(32)},bytes=123,overlay=/boot/n1/overlay.tar `,
    );
  });
});
