// Who asks: firmware and loader from options 60, 77, 93, 97, 128 and 175.
import { describe, expect, test } from 'vitest';
import { option, textValue } from '../../src/dhcp/options.ts';
import { bootClient } from '../../src/dhcp/pxe.ts';
import { message, request } from './packets.ts';

function architectures(...codes: number[]): readonly [number, Buffer] {
  return [option.clientArchitecture, Buffer.from(codes.flatMap((code) => [code >> 8, code & 255]))];
}
const vendor = (text: string): readonly [number, Buffer] => [option.vendorClass, textValue(text)];
const userClass = (hex: string): readonly [number, Buffer] => [option.userClass, Buffer.from(hex, 'hex')];
const ipxe = Buffer.from('iPXE').toString('hex');

test.each([
  ['no option 93: a PC BIOS from before it', [], 'bios'],
  ['0', [architectures(0)], 'bios'],
  ['6', [architectures(6)], 'efi-ia32'],
  ['7, the erratum', [architectures(7)], 'efi-x64'],
  ['9, the RFC', [architectures(9)], 'efi-x64'],
  ['10', [architectures(10)], 'efi-arm32'],
  ['11', [architectures(11)], 'efi-arm64'],
  ['15, by HTTP', [architectures(15)], 'efi-ia32'],
  ['16, by HTTP', [architectures(16)], 'efi-x64'],
  ['19, by HTTP', [architectures(19)], 'efi-arm64'],
  ['20, by HTTP', [architectures(20)], 'bios'],
  ['27', [architectures(27)], 'efi-riscv64'],
  ['41', [architectures(41)], 'rpi'],
  ['0x100 and U-Boot’s class of 64 bits', [architectures(0x100), vendor('U-Boot.armv8')], 'uboot-arm64'],
  ['0x100 and U-Boot’s class of 32 bits', [architectures(0x100), vendor('U-boot.armv7')], 'uboot-arm32'],
  ['22, U-Boot by the book', [architectures(22), vendor('U-Boot.armv8')], 'uboot-arm64'],
  ['U-Boot without either', [vendor('U-Boot')], 'other'],
  ['a code nobody knows', [architectures(999)], 'other'],
  ['several codes: the first that is known', [architectures(999, 7, 0)], 'efi-x64'],
  ['an odd byte after the code', [[option.clientArchitecture, Buffer.from([0, 7, 1])]], 'efi-x64'],
  ['one byte only', [[option.clientArchitecture, Buffer.from([7])]], 'bios'],
] as const)('firmware by option 93: %s', (_, options, firmware) => {
  expect(bootClient(message('discover', options)).firmware).toBe(firmware);
});

test.each([
  ['a PXE ROM', [vendor('PXEClient:Arch:00000:UNDI:002001')], 'rom'],
  ['UEFI HTTP boot', [vendor('HTTPClient:Arch:00016:UNDI:003000')], 'rom'],
  ['iPXE by a raw user class, though it says PXEClient', [vendor('PXEClient:Arch:00000:UNDI:002001'), userClass(ipxe)], 'ipxe'],
  ['iPXE by RFC 3004', [userClass(`04${ipxe}`)], 'ipxe'],
  ['iPXE as the second class', [userClass(`03666f6f04${ipxe}`)], 'ipxe'],
  ['iPXE with a final NUL', [userClass(`${ipxe}00`)], 'ipxe'],
  ['iPXE by option 175 alone', [vendor('PXEClient'), [option.ipxe, Buffer.from('130101', 'hex')]], 'ipxe'],
  ['gPXE', [userClass(Buffer.from('gPXE').toString('hex'))], 'ipxe'],
  ['Etherboot by vendor class, which has an option 175 too', [vendor('Etherboot-5.4'), [option.ipxe, Buffer.from([1])]], 'etherboot'],
  ['Etherboot by its magic number', [[option.etherbootMagic, Buffer.from('e44574680000', 'hex')]], 'etherboot'],
  ['udhcpc', [vendor('udhcp 1.35.0')], 'none'],
  ['an Etherboot that says PXEClient, by its card in option 150', [vendor('PXEClient:Arch:00000'), [150, Buffer.from('af05018086100e', 'hex')]], 'etherboot'],
  ['a ROM that asks with addresses in option 150', [vendor('PXEClient'), [150, Buffer.from('0a0b0001', 'hex')]], 'rom'],
  ['U-Boot on 64 bits', [vendor('U-Boot.armv8')], 'uboot'],
  ['an older U-Boot', [vendor('U-boot.armv7')], 'uboot'],
  ['Linux ip=dhcp', [vendor('Linux 6.1.0-28-amd64')], 'none'],
  ['anaconda', [vendor('anaconda-Linux 5.14.0 x86_64')], 'none'],
  ['dhclient', [], 'none'],
  ['an empty user class', [userClass('')], 'none'],
  ['another user class', [userClass('04444f43')], 'none'],
] as const)('loader: %s', (_, options, loader) => {
  expect(bootClient(message('discover', options)).loader).toBe(loader);
});

test('http and pxe repeat option 60, bootp the lack of option 53', () => {
  expect(bootClient(message('discover', [vendor('HTTPClient:Arch:00016')]))).toMatchObject({ http: true, pxe: false, bootp: false });
  expect(bootClient(message('discover', [vendor('PXEClient:Arch:00007'), userClass(ipxe)]))).toMatchObject({ http: false, pxe: true });
  expect(bootClient(request([]))).toMatchObject({ bootp: true, loader: 'none', http: false, pxe: false });
});

test.each([
  ['b827ebe8271e', 'PXEClient:Arch:00000:UNDI:002001', 'rpi'],
  ['d83adde8271e', 'PXEClient:Arch:00000:UNDI:002001', 'rpi'],
  ['2ccf67e8271e', 'PXEClient:Arch:00000:UNDI:002001', 'rpi'],
  ['525400123456', 'PXEClient:Arch:00000:UNDI:002001', 'bios'],
  ['b827ebe8271e', 'dhcpcd-9.4.1:Linux-6.1', 'bios'],
])('firmware by address %s and class %s', (chaddr, text, firmware) => {
  const asked = message('discover', [architectures(0), vendor(text)], { chaddr: Buffer.from(chaddr, 'hex') });
  expect(bootClient(asked).firmware).toBe(firmware);
});

describe('option 97', () => {
  test.each([
    ['00112233445566778899aabbccddeeff00', '11223344-5566-7788-99aa-bbccddeeff00'],
    [`00${'00'.repeat(16)}`, undefined],
    [`00${'ff'.repeat(16)}`, undefined],
    [`01${'11'.repeat(16)}`, undefined],
    ['0011', undefined],
    ['', undefined],
  ])('%s is %s', (hex, uuid) => {
    expect(bootClient(message('discover', [[option.clientUuid, Buffer.from(hex, 'hex')]])).uuid).toBe(uuid);
  });
});

describe('option 175', () => {
  const featuresOf = (hex: string) => [...bootClient(message('discover', [[option.ipxe, Buffer.from(hex, 'hex')]])).features];
  test('says what iPXE was built with', () => {
    const client = bootClient(message('discover', [[option.ipxe, Buffer.from('b105018086100eeb03010f11170101130101', 'hex')]]));
    expect([client.ipxeVersion, ...client.features]).toEqual(['1.15.17', 'dns', 'http']);
  });
  test.each([
    ['a feature that is off', '130100', []],
    ['a tag nobody knows', '7f0101130101', ['http']],
    ['a tag cut short', '1301011901', ['http']],
    ['pads and END', '00130101ff190101', ['http']],
  ])('%s', (_, hex, features) => {
    expect(featuresOf(hex)).toEqual(features);
  });
});
