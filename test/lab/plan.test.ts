// What a lab is asked for becomes a plan, `ip` commands and QEMU's command line.
import { describe, expect, test } from 'vitest';
import { ipv4, mac } from '../../src/base/addresses.ts';
import { networkCommands } from '../../src/lab/network.ts';
import { planMachines } from '../../src/lab/plan.ts';
import { qemuArguments } from '../../src/lab/qemu.ts';

const n1 = { name: 'n1', mac: mac('52:54:00:12:34:56'), firmware: 'bios' } as const;
const paths = { serial: '/l/n1.serial', log: '/l/n1.console.log', monitor: '/l/n1.qmp', variables: '/l/n1.vars.fd' };
const valuesIn = (args: readonly string[]) => (option: string) => args.filter((_, index) => args[index - 1] === option);
const network = (name: string) => ({ interface: name, address: { address: ipv4('10.11.0.1'), prefix: 24 } });

describe('a machine of the lab', () => {
  test('has 512 MiB, one processor and an e1000 with its ROM unless told otherwise', () => {
    expect(planMachines([n1])).toEqual([{ ...n1, memoryMiB: 512, cpus: 1, card: 'e1000', rom: 'card' }]);
  });

  test.each([
    ['uefi', undefined, undefined, 'virtio-net-pci', 'none'],
    ['uefi-http', undefined, undefined, 'virtio-net-pci', 'none'],
    ['uefi', 'e1000', undefined, 'e1000', 'card'],
    ['uefi', 'virtio-net-pci', 'card', 'virtio-net-pci', 'card'],
    ['bios', 'virtio-net-pci', undefined, 'virtio-net-pci', 'card'],
    ['bios', undefined, '/tmp/gpxe.rom', 'e1000', '/tmp/gpxe.rom'],
  ] as const)('of %s, asked for card %s and ROM %s, has %s and %s', (firmware, askedCard, askedRom, card, rom) => {
    const asked = { ...(askedCard === undefined ? {} : { card: askedCard }), ...(askedRom === undefined ? {} : { rom: askedRom }) };
    expect(planMachines([{ ...n1, firmware, ...asked }])).toMatchObject([{ card, rom }]);
  });

  test.each([
    ['a name with a slash', [{ ...n1, name: '../n1' }], '"../n1"'],
    ['an empty name', [{ ...n1, name: '' }], '""'],
    ['a name used twice', [n1, { ...n1, mac: mac('52:54:00:12:34:57') }], 'two machines of the lab have n1'],
    ['a MAC address used twice', [n1, { ...n1, name: 'n2' }], 'two machines of the lab have 52:54:00:12:34:56'],
    ['too little memory', [{ ...n1, memoryMiB: 8 }], '8 MiB'],
    ['too little memory for UEFI', [{ ...n1, firmware: 'uefi', memoryMiB: 128 } as const], '128 MiB'],
    ['no processor', [{ ...n1, cpus: 0 }], '0 processors'],
  ])('is refused with %s', (_, machines, message) => {
    expect(() => planMachines(machines)).toThrow(message);
  });

  test('boots from the network only, with its MAC address and without a disk', () => {
    const [plan] = planMachines([{ ...n1, memoryMiB: 256, cpus: 2, card: 'virtio-net-pci' }]);
    const args = qemuArguments(plan!, 'labtap3', paths);
    const valuesOf = valuesIn(args);
    expect(valuesOf('-device')).toEqual(['virtio-net-pci,netdev=net0,mac=52:54:00:12:34:56']);
    expect(valuesOf('-netdev')).toEqual(['tap,id=net0,ifname=labtap3,script=no,downscript=no']);
    expect(valuesOf('-boot')[0]).toMatch(/^n,/);
    expect(valuesOf('-m')).toEqual(['256']);
    expect(valuesOf('-smp')).toEqual(['2']);
    expect(args.join(' ')).not.toMatch(/-drive|-hda|-cdrom|-kernel/);
  });

  test('with UEFI has flash memory of its own, and boots from its card', () => {
    const [plan] = planMachines([{ ...n1, firmware: 'uefi' }]);
    const valuesOf = valuesIn(qemuArguments(plan!, 'labtap0', { ...paths, variables: '/a,b/n1.vars.fd' }));
    expect(valuesOf('-machine')).toEqual(['q35,graphics=off']);
    expect(valuesOf('-drive')).toEqual([
      'if=pflash,unit=0,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd',
      'if=pflash,unit=1,format=raw,file=/a,,b/n1.vars.fd',
    ]);
    expect(valuesOf('-device')).toEqual(['virtio-net-pci,netdev=net0,mac=52:54:00:12:34:56,bootindex=1,romfile=']);
    expect(valuesOf('-fw_cfg')).toEqual([]);
  });

  test('that is to boot by HTTP has its PXE switched off', () => {
    const [plan] = planMachines([{ ...n1, firmware: 'uefi-http' }]);
    const valuesOf = valuesIn(qemuArguments(plan!, 'labtap0', paths));
    expect(valuesOf('-fw_cfg')).toEqual(['name=opt/org.tianocore/IPv4PXESupport,string=n', 'name=opt/org.tianocore/IPv6PXESupport,string=n']);
  });

  test('can have another ROM on its card', () => {
    const [plan] = planMachines([{ ...n1, rom: '/roms/etherboot,5.rom' }]);
    const valuesOf = valuesIn(qemuArguments(plan!, 'labtap0', paths));
    expect(valuesOf('-device')).toEqual(['e1000,netdev=net0,mac=52:54:00:12:34:56,romfile=/roms/etherboot,,5.rom']);
  });

  test('keeps a comma in the farm’s path apart from QEMU’s own', () => {
    const [plan] = planMachines([n1]);
    const args = qemuArguments(plan!, 'labtap0', { serial: '/a,b/s', log: '/a,b/l', monitor: '/a,b/m', variables: '/a,b/v' });
    expect(args).toContain('socket,id=console,path=/a,,b/s,server=on,wait=off,logfile=/a,,b/l,logappend=on');
    expect(args).toContain('unix:/a,,b/m,server=on,wait=off');
  });
});

describe('the lab’s network', () => {
  test('is a bridge with the farm’s name, address and a MAC that stays, and a tap for each machine', () => {
    expect(networkCommands(network('eth1'), 2)).toEqual([
      'link set lo up',
      'link add eth1 address 02:00:0a:0b:00:01 type bridge forward_delay 0 stp_state 0',
      'address add 10.11.0.1/24 broadcast + dev eth1',
      'link set eth1 up',
      'tuntap add dev labtap0 mode tap',
      'link set labtap0 master eth1 up',
      'tuntap add dev labtap1 mode tap',
      'link set labtap1 master eth1 up',
    ]);
  });

  test.each(['', 'lo', 'a b', 'eth0\nlink del eth0', 'sixteen-letters-', 'eth0:1', '../eth0', '-6', 'labtap0'])('refuses the interface name %j', (name) => {
    expect(() => networkCommands(network(name), 1)).toThrow('cannot name its bridge');
  });
});
