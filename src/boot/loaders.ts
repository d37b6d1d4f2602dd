// Which loader a machine's firmware is given, of those in an image's loaders/. docs/decisions/loaders.md says why.
import type { BootClient } from '../dhcp/pxe.ts';

/** Which loader a machine's firmware is given: docs/booting.md says what each is for. */
export type LoaderChoice = 'auto' | 'ipxe' | 'ipxe-snp' | 'pxelinux' | 'grub' | 'shim' | 'nbi';

/** Firmware that an x86-64 kernel can be booted from. */
type BootableFirmware = 'bios' | 'efi-x64';

/** What each choice is for each firmware. A choice that a firmware has nothing for is `auto`: a profile may have machines of both kinds. */
const chosen: Readonly<Record<BootableFirmware, Partial<Readonly<Record<LoaderChoice, string>>>>> = {
  bios: { ipxe: 'ipxe.pxe', 'ipxe-snp': 'undionly.kpxe', pxelinux: 'pxelinux.0' },
  'efi-x64': { ipxe: 'ipxe.efi', 'ipxe-snp': 'snponly.efi', grub: 'grubx64.efi', shim: 'shimx64.efi' },
};

/**
 * `auto`, in the order in which they are tried: first an iPXE with the firmware's own network driver, which has just loaded it; then, for a machine
 * that got no further, what fails for other reasons. Secure Boot starts shim only.
 */
const automatic: Readonly<Record<BootableFirmware, readonly [string, ...string[]]>> = {
  bios: ['undionly.kpxe', 'ipxe.pxe', 'pxelinux.0'],
  'efi-x64': ['snponly.efi', 'shimx64.efi', 'ipxe.efi'],
};

export function isBootable(firmware: BootClient['firmware']): firmware is BootableFirmware {
  return firmware === 'bios' || firmware === 'efi-x64';
}

/** The loader that goes even to a machine whose ROM is an iPXE: one that somebody chose and that is none. It asks DHCP no more, so nothing loads itself again. */
export function loaderInsteadOfIpxe(firmware: BootableFirmware, choice: LoaderChoice): string | undefined {
  return choice === 'ipxe' || choice === 'ipxe-snp' ? undefined : chosen[firmware][choice];
}

/** The loader's name in loaders/. `failedBoots`: how many boots in a row ended with a loader, 0 after one that reached the kernel. */
export function loaderFor(firmware: BootableFirmware, choice: LoaderChoice, failedBoots: number): string {
  const order = automatic[firmware];
  return chosen[firmware][choice] ?? order[failedBoots % order.length] ?? order[0];
}
