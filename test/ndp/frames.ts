// Frames for the tests of neighbour discovery.
import { mac } from '../../src/base/addresses.ts';
import { encodeFrame, type IcmpFrame } from '../../src/ndp/frame.ts';

/** What the iPXE of 2019 in QEMU's e1000 ROM sends, as captured. */
export const ipxeSolicitation: Buffer = Buffer.from(
  '333300000002525400fa000186dd6000000000103afffe80000000000000505400fffefa0001ff0200000000000000000000000000028500d88f000000000101525400fa0001',
  'hex',
);

/** What dnsmasq 2.90 answers (--enable-ra, --dhcp-range=::,constructor:sa,ra-stateless,64), as captured: to everybody, a router with a prefix. */
export const dnsmasqFrame: Buffer = Buffer.from(
  '33330000000102000a0b000186dd6c07b86e00403afffe8000000000000000000afffe0b0001ff020000000000000000000000000001' +
    '8600d2eb404007080000000000000000030440c0ffffffffffffffff00000000fd110000000000000000000000000000' +
    '05010000000005dc010102000a0b0001',
  'hex',
);

/** Its message. */
export const dnsmasqAdvertisement: Buffer = dnsmasqFrame.subarray(54);

export const client = mac('52:54:00:fa:00:01');
export const clientLinkLocal: Buffer = Buffer.from('fe80000000000000505400fffefa0001', 'hex');
export const allRouters: Buffer = Buffer.from('ff020000000000000000000000000002', 'hex');

/** iPXE's solicitation with some fields other than iPXE sends them, and its checksum right. */
export function solicitation(changes: Partial<IcmpFrame> = {}): Buffer {
  return encodeFrame({
    from: client,
    to: mac('02:00:0a:0b:00:01'),
    source: clientLinkLocal,
    destination: allRouters,
    hopLimit: 255,
    message: Buffer.from('85000000000000000101525400fa0001', 'hex'),
    ...changes,
  });
}
