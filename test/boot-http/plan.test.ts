import { describe, expect, it, test } from 'vitest';
import { type Ipv4, mac } from '../../src/base/addresses.ts';
import { type BootPlan, kernelCommandLine, nextBootFile } from '../../src/boot/plan.ts';
import { renderScript } from '../../src/boot/script.ts';
import type { BootClient } from '../../src/dhcp/pxe.ts';

const plan: BootPlan = {
  node: 'n1',
  mac: mac('52:54:00:12:34:56'),
  server: '10.11.0.1' as Ipv4,
  httpPort: 80,
  image: { name: 'debian-13', version: '0123456789ab' },
  kernelArgs: ['quiet', 'console=ttyS1'],
};

function client(values: Partial<BootClient>): BootClient {
  return { firmware: 'bios', loader: 'rom', http: false, pxe: true, bootp: false, architectures: [0], features: new Set(), ...values };
}

describe('what a machine loads next', () => {
  test.each<[string, Partial<BootClient>, unknown]>([
    ['a BIOS ROM gets iPXE by TFTP', {}, { kind: 'tftp', server: '10.11.0.1', file: 'undionly.kpxe' }],
    ['a UEFI ROM gets iPXE by TFTP', { firmware: 'efi-x64' }, { kind: 'tftp', server: '10.11.0.1', file: 'ipxe.efi' }],
    [
      'a UEFI HTTP client gets a URL',
      { firmware: 'efi-x64', http: true },
      { kind: 'url', url: 'http://10.11.0.1/images/debian-13/0123456789ab/loaders/ipxe.efi' },
    ],
    [
      'an iPXE gets its script, whatever else it says, and never its own binary again',
      { loader: 'ipxe', pxe: true },
      { kind: 'url', url: 'http://10.11.0.1/boot/n1.ipxe' },
    ],
    ['an operating system gets nothing', { loader: 'none', pxe: false }, undefined],
    ['firmware without a loader of ours gets nothing', { firmware: 's390' }, undefined],
  ])('%s', (_what, values, expected) => {
    expect(nextBootFile(client(values), plan)).toEqual(expected);
  });
});

it('the kernel command line names card, server and root, and the profile has the last word', () => {
  expect(kernelCommandLine({ ...plan, httpPort: 8080 })).toBe(
    'BOOTIF=01-52-54-00-12-34-56 farm.server=10.11.0.1:8080 farm.root=10.11.0.1:/debian-13/0123456789ab,nocto console=ttyS0,115200 console=tty0 quiet console=ttyS1',
  );
});

it('the iPXE script begins with its magic and loads the kernel over HTTP', () => {
  const template = { text: '#!ipxe\nkernel {{{url}}}/kernel {{{kernelArgs}}}\n', origin: 'node.ipxe.hbs' };
  expect(renderScript(template, 'lab', plan)).toMatch(/^#!ipxe\nkernel http:\/\/10\.11\.0\.1\/images\/debian-13\/0123456789ab\/kernel BOOTIF=/);
});
