// What makes each kind of firmware boot: PXE 2.1 section 2.2, UEFI 2.10 section 24.7, and what iPXE, Etherboot and the Raspberry Pi want.
import { type Basket, put } from './basket.ts';
import { option, textValue } from './options.ts';
import { type DhcpPacket, longestFile } from './packet.ts';
import { type BootClient, ipxeNoProxyTag } from './pxe.ts';
import type { BootFile } from './questions.ts';

/** PXE 2.1 table 2-1: PXE_DISCOVERY_CONTROL with bit 3, "boot the file named here, ask no boot server". Without it EDK2 asks port 4011. */
const bootThisFile = Buffer.from([6, 1, 8, 255]);
/** The Raspberry Pi's ROM fetches nothing unless a menu (9) has "Raspberry Pi Boot" in it; 6 and 10 as its documentation has them. */
const raspberryPiMenu = Buffer.concat([
  Buffer.from([6, 1, 3, 10, 4, 0]),
  Buffer.from('PXE'),
  Buffer.from([9, 20, 0, 0, 17]),
  Buffer.from('Raspberry Pi Boot'),
  Buffer.from([255]),
]);
const noProxy = Buffer.from([ipxeNoProxyTag, 1, 1]);
export const pxeClass: Buffer = textValue('PXEClient');
export const httpClass: Buffer = textValue('HTTPClient');
const etherbootClass = textValue('Etherboot');

/** The header's name of the boot file. A name too long for it goes to option 67 alone. */
export function fileField(name: Buffer | undefined): string {
  return name !== undefined && name.length <= longestFile ? name.toString('latin1') : '';
}

/** The boot file or URL that goes into the reply. An HTTP client cannot fetch by TFTP: told nothing, its firmware tries its next way to boot. */
export function usableFile(client: BootClient, bootFile: BootFile | undefined): string | undefined {
  if (bootFile?.kind === 'url') return bootFile.url;
  return client.http ? undefined : bootFile?.file;
}

export function usableName(client: BootClient, bootFile: BootFile | undefined): Buffer | undefined {
  const file = usableFile(client, bootFile);
  return file === undefined ? undefined : textValue(file);
}

/** Option 43 for a PXE ROM that is to boot the file named beside it. */
export function pxeOptions(client: BootClient): Buffer {
  return client.firmware === 'rpi' ? raspberryPiMenu : bootThisFile;
}

/** What makes the client's own kind of boot work; it does not have to ask for these. */
export function putBootOptions(into: Basket, request: DhcpPacket, client: BootClient, bootFile: BootFile | undefined, name: Buffer | undefined): void {
  if (client.loader === 'ipxe') put(into, option.ipxe, noProxy);
  if (name === undefined || bootFile === undefined) return;
  if (client.http) put(into, option.vendorClass, httpClass);
  else if (client.pxe && client.loader === 'rom') {
    put(into, option.vendorClass, pxeClass);
    put(into, option.vendorSpecific, pxeOptions(client));
  } else if (client.loader === 'etherboot') {
    // An Etherboot built with REQUIRE_VCI_ETHERBOOT takes no other answer.
    put(into, option.vendorClass, etherbootClass);
  }
  if (bootFile.kind === 'url' || name.length > longestFile) put(into, option.bootFileName, name);
  // PXE 2.1 wants the UUID back from whoever names a boot file, all zeros included.
  put(into, option.clientUuid, request.options.get(option.clientUuid));
}
