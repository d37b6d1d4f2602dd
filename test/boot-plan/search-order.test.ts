import fc from 'fast-check';
import { expect, it, test } from 'vitest';
import { type MenuRequest, menuRequest } from '../../src/boot/search-order.ts';

const client = { by: 'client' };
const card = { by: 'mac', mac: '52:54:00:12:34:56' };
const guid = { by: 'uuid', uuid: 'b8945908-d6a6-41a9-611d-74a6ab80b83d' };
const address = { by: 'address', address: '10.11.0.10' };

// The names as PXELINUX 6.04, Debian's GRUB 2.12 and iPXE of 2025 asked for them in QEMU.
test.each<[string, string, MenuRequest['menu'], unknown]>([
  ['PXELINUX by GUID', 'images/debian-13/0123456789ab/loaders/pxelinux.cfg/b8945908-d6a6-41a9-611d-74a6ab80b83d', 'pxelinux', guid],
  ['PXELINUX by GUID in capitals', 'pxelinux.cfg/B8945908-D6A6-41A9-611D-74A6AB80B83D', 'pxelinux', guid],
  ['PXELINUX by card', 'images/debian-13/0123456789ab/loaders/pxelinux.cfg/01-52-54-00-12-34-56', 'pxelinux', card],
  ['PXELINUX by address', 'pxelinux.cfg/0A0B000A', 'pxelinux', address],
  ['PXELINUX by a part of its address', 'pxelinux.cfg/0A0B00', 'pxelinux', client],
  ['PXELINUX at the end', 'pxelinux.cfg/default', 'pxelinux', client],
  ['PXELINUX on InfiniBand', 'pxelinux.cfg/20-00-11-22-33-44-55', 'pxelinux', client],
  ['GRUB', 'grub/grub.cfg', 'grub', client],
  ['GRUB for its platform', 'grub/x86_64-efi/grub.cfg', 'grub', client],
  ['GRUB beside the loader', 'images/debian-13/0123456789ab/loaders/grub.cfg', 'grub', client],
  ['GRUB by card', 'grub/grub.cfg-01-52-54-00-12-34-56', 'grub', card],
  ['GRUB by card, with colons', 'grub/grub.cfg-01-52:54:00:12:34:56', 'grub', card],
  ['GRUB by address', 'grub/grub.cfg-0A0B000A', 'grub', address],
  ['GRUB by a part of its address', 'grub/grub.cfg-0A0B', 'grub', client],
  ['GRUB by GUID', 'grub/grub.cfg-b8945908-d6a6-41a9-611d-74a6ab80b83d', 'grub', guid],
  ['iPXE that UEFI loaded by TFTP', 'autoexec.ipxe', 'autoexec', client],
  ['iPXE that UEFI loaded by HTTP', 'images/debian-13/0123456789ab/loaders/autoexec.ipxe', 'autoexec', client],
  ['iPXE by name', 'boot/n1.ipxe', 'ipxe', { by: 'name', name: 'n1' }],
  ['a net boot image by name', 'boot/n1.nbi', 'nbi', { by: 'name', name: 'n1' }],
  ['a person who looks', 'boot/n1.pxelinux', 'pxelinux', { by: 'name', name: 'n1' }],
  ['a person who looks again', 'boot/n1.grub', 'grub', { by: 'name', name: 'n1' }],
])('%s asks for its menu as %s', (_, path, menu, of) => {
  expect(menuRequest(path)).toEqual({ menu, of });
});

test.each([
  'undionly.kpxe',
  'boot',
  'boot/n1',
  'boot/n1/x.ipxe',
  'boot/n1.tar',
  'pxelinux.cfg',
  'pxelinux.cfg/',
  'pxelinux.cfg/a/b',
  'grub/grub.cfgx',
  'grub/fs.lst',
  'xgrub.cfg',
  'xautoexec.ipxe',
  '',
])('no menu is asked for as "%s"', (path) => {
  expect(menuRequest(path)).toBeUndefined();
});

it('any path is a menu or none, quickly', () => {
  const part = fc.constantFrom('boot/', 'pxelinux.cfg/', 'grub.cfg', '-', '01-', '/', '0A0B', '.ipxe', 'n1', '..', '52:54:00:12:34:56');
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(part).map((parts) => parts.join('')),
      ),
      (path) => void menuRequest(path),
    ),
  );
});
