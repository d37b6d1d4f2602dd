// proxyDHCP and the PXE boot server on port 4011: PXE 2.1 sections 2.2.3 and 3, as EDK2, iPXE and the ROMs of PCs carry it out.
//
//   client                       DHCP server            farm, which gives no addresses
//     | DISCOVER, PXEClient  -------->|------------------->| 67
//     |<------------- OFFER, address |<-- OFFER, no address| file and siaddr, 60
//     | REQUEST / ACK  <------------->|                    | (silent)
//     | REQUEST with its new address --------------------->| 4011, from 68 or 4011
//     |<------------------------------------ ACK with file |
import { type Ipv4, ipv4Any } from '../base/addresses.ts';
import { type Basket, basket, copyOption, put, roomFor } from './basket.ts';
import { fileField, httpClass, pxeClass, pxeOptions, usableName } from './boot-options.ts';
import type { Located } from './exchange.ts';
import { addressesValue, option, subOptions, textValue } from './options.ts';
import { broadcastFlag, type DhcpPacket, longestFile } from './packet.ts';
import type { BootClient } from './pxe.ts';
import type { BootFile } from './questions.ts';
import { ackValue, echoed, offerValue, type Reply } from './reply.ts';

/** PXE 2.1 table 2-1: PXE_BOOT_ITEM, which menu item a client asks a boot server for. */
const bootItem = 71;

/**
 * Who gets an offer of a boot file alone. UEFI HTTP boot and iPXE take it as PXE ROMs do; what says neither PXEClient nor HTTPClient would take it for
 * an address that is missing.
 */
export function takesProxy(client: BootClient): boolean {
  return client.pxe || client.http;
}

/**
 * EDK2 drops the first proxy offer that has a discovery control (its PxeBcCacheDhcp4Offer keeps the second), so UEFI gets none and asks port 4011,
 * as with dnsmasq and pixiecore. PC ROMs boot from the offer itself, which spares those without 4011 in reach.
 */
function asksBootServer(client: BootClient): boolean {
  return client.loader === 'rom' && client.pxe && client.firmware.startsWith('efi');
}

/** The offer on port 67. */
export function composeProxyOffer({ request, client, self }: Located, bootFile: BootFile): Reply {
  const into = bootReply(request, client, self, bootFile, offerValue);
  if (client.loader === 'rom' && client.pxe && !asksBootServer(client)) put(into, option.vendorSpecific, pxeOptions(client));
  return {
    omitted: into.omitted,
    packet: {
      ...header(request, client, bootFile),
      // The address that EDK2 then asks on port 4011: ours, wherever the file may be.
      siaddr: bootFile.kind === 'tftp' && !asksBootServer(client) ? bootFile.server : self,
      // The client has no address yet, and not from us: a relay has to broadcast too.
      flags: request.flags | broadcastFlag,
      options: into.options,
    },
  };
}

/** The ACK on port 4011. The item of a menu that the client asks for comes back: there is only one. */
export function composeBootServerAck({ request, client, self }: Located, bootFile: BootFile): Reply {
  const into = bootReply(request, client, self, bootFile, ackValue);
  const item = subOptions(request.options.get(option.vendorSpecific) ?? Buffer.alloc(0)).get(bootItem);
  if (item?.length === 4) put(into, option.vendorSpecific, Buffer.from([bootItem, 4, ...item, 255]));
  else if (client.loader === 'rom' && !asksBootServer(client)) put(into, option.vendorSpecific, pxeOptions(client));
  const asked = request.options.get(option.parameterRequestList);
  if (asked?.includes(option.bootFileName) === true) put(into, option.bootFileName, usableName(client, bootFile));
  if (asked?.includes(option.tftpServerName) === true && bootFile.kind === 'tftp') put(into, option.tftpServerName, textValue(bootFile.server));
  return {
    omitted: into.omitted,
    packet: { ...header(request, client, bootFile), ciaddr: request.ciaddr, siaddr: bootFile.kind === 'tftp' ? bootFile.server : self, options: into.options },
  };
}

function header(request: DhcpPacket, client: BootClient, bootFile: BootFile): DhcpPacket {
  return { ...echoed(request), yiaddr: ipv4Any, file: fileField(usableName(client, bootFile)) };
}

/** What both have: who answers, the class that makes it a PXE answer, the file if the header cannot hold it, and what has to come back. */
function bootReply(request: DhcpPacket, client: BootClient, self: Ipv4, bootFile: BootFile, type: Buffer): Basket {
  const options = new Map<number, Buffer>([
    [option.messageType, type],
    [option.serverIdentifier, addressesValue([self])],
    [option.vendorClass, client.http ? httpClass : pxeClass],
  ]);
  copyOption(options, request.options, option.relayAgentInformation);
  const into = basket(options, roomFor(request));
  const name = usableName(client, bootFile);
  if (name !== undefined && (bootFile.kind === 'url' || name.length > longestFile)) put(into, option.bootFileName, name);
  put(into, option.clientUuid, request.options.get(option.clientUuid));
  put(into, option.clientIdentifier, request.options.get(option.clientIdentifier));
  return into;
}
