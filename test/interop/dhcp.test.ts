// Other people's DHCP and BOOTP clients, and a relay, against our service, in network namespaces joined by veth:
//
//   client a  a0 ------ sa  10.77.1.1  server  10.77.2.1  sb ------ b0  client b
//                                      (one service per interface)
//                       sr  10.77.3.1 ------ r0 10.77.3.2  relay  r1 10.77.4.1 ------ c0  client c
import { spawn } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect } from 'vitest';
import { closeServices, folder, host, inside, ip, isRoot, layWires, macs, removeWires, serve, serveInVain, space, tryWith, udhcpc } from './dhcp-wires.ts';

const serveA = (more: object = {}) => serve('sa', '10.77.1.1', { [macs.a]: host('1', 'n1', more) });

beforeAll(async () => {
  if (isRoot) await layWires();
});

afterEach(async () => {
  await closeServices();
  if (isRoot) ip('-n', space.a, 'addr', 'flush', 'dev', 'a0');
});

afterAll(() => {
  if (isRoot) removeWires();
  rmSync(folder, { recursive: true, force: true });
});

describe('an operating system’s client', () => {
  tryWith(['udhcpc'], 'udhcpc gets its address and all that goes with it', async () => {
    const service = await serveA();
    const said = await udhcpc(space.a, 'a0', '-O', 'rootpath', '-O', 'hostname');
    expect(said).toContain('bound ip=10.77.1.7');
    for (const line of [
      'subnet=255.255.255.0',
      'router=10.77.1.1',
      'dns=10.77.1.1',
      'domain=farm.test',
      'hostname=n1',
      'lease=3600',
      'serverid=10.77.1.1',
      'siaddr=10.77.1.1',
      'rootpath=10.77.1.1:/srv/root',
    ]) {
      expect(said).toContain(`bound ${line}\n`);
    }
    expect(said).not.toContain('boot_file');
    expect(await service.events(2)).toEqual(['dhcp.offer', 'dhcp.ack']);
  });

  tryWith(['udhcpc'], 'a lease without end is understood', async () => {
    await serveA({ leaseSeconds: 0xffffffff });
    expect(await udhcpc(space.a, 'a0')).toContain('bound lease=4294967295');
  });

  tryWith(['udhcpc'], 'a broadcast is answered too, and an address that is not its own is not given to it', async () => {
    await serveA();
    expect(await udhcpc(space.a, 'a0', '-B', '-r', '10.77.1.99')).toContain('bound ip=10.77.1.7');
  });

  tryWith(['busybox'], 'busybox, whose client an initramfs has', async () => {
    await serveA();
    const args = ['udhcpc', '-i', 'a0', '-f', '-q', '-n', '-t', '3', '-T', '1', '-s', join(folder, 'print')];
    expect(await inside(space.a, 'busybox', args)).toContain('bound ip=10.77.1.7');
  });

  tryWith(['/lib/systemd/systemd-networkd'], 'systemd-networkd configures its interface', async () => {
    const service = await serveA();
    // One of its own: without udev, which it does not wait for if /sys is read-only, and with a /run that nobody shares.
    const script = [
      'mount -o remount,bind,ro /sys && mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/network && mkfifo /run/said || exit 1',
      "printf '[Match]\\nName=a0\\n[Network]\\nDHCP=ipv4\\nLinkLocalAddressing=no\\nIPv6AcceptRA=no\\n' > /run/systemd/network/a0.network",
      'SYSTEMD_LOG_TARGET=console timeout 30 /lib/systemd/systemd-networkd > /run/said 2>&1 &',
      'while read -r line; do echo "$line"; case "$line" in *acquired*) break;; esac; done < /run/said',
      'kill $!; wait',
    ];
    const said = await inside(space.a, 'unshare', ['-m', 'sh', '-c', script.join('\n')]);
    expect(said).toContain('DHCPv4 address 10.77.1.7/24, gateway 10.77.1.1 acquired from 10.77.1.1');
    expect(await service.events(2)).toEqual(['dhcp.offer', 'dhcp.ack']);
  });

  tryWith(['dhclient'], 'dhclient binds, comes back with the address it had, and releases it', async () => {
    const service = await serveA();
    const common = ['-sf', join(folder, 'dhclient-print'), '-lf', join(folder, 'leases'), '-pf', join(folder, 'dhclient.pid'), '-cf', '/dev/null', '-1', 'a0'];
    writeFileSync(join(folder, 'leases'), '');
    const first = await inside(space.a, 'dhclient', ['-v', ...common]);
    expect(first).toContain('reason=BOUND');
    expect(first).toContain('new_ip_address=10.77.1.7');
    expect(first).toContain('new_host_name=n1');
    expect(await service.events(2)).toEqual(['dhcp.offer', 'dhcp.ack']);

    await inside(space.a, 'dhclient', ['-x', ...common]);
    expect(await inside(space.a, 'dhclient', common)).toContain('reason=REBOOT');
    expect(await service.events(3)).toEqual(['dhcp.offer', 'dhcp.ack', 'dhcp.ack']);

    ip('-n', space.a, 'addr', 'add', '10.77.1.7/24', 'dev', 'a0');
    await inside(space.a, 'dhclient', ['-r', ...common]);
    expect(await service.heard('dhcp.release')).toMatchObject({ address: '10.77.1.7', node: 'n1' });
  });

  tryWith(['dhclient'], 'dhclient that remembers an address of another life is refused and gets the right one', async () => {
    const service = await serveA();
    const leases = join(folder, 'old-leases');
    const lease = ['interface "a0";', 'fixed-address 10.77.1.99;', 'option subnet-mask 255.255.255.0;', 'option dhcp-server-identifier 10.77.1.1;'];
    const times = ['renew', 'rebind', 'expire'].map((word) => `${word} 5 2035/01/05 00:00:00;`);
    writeFileSync(leases, `lease {\n${[...lease, ...times].join('\n')}\n}\n`);
    const pid = join(folder, 'old.pid');
    const said = await inside(space.a, 'dhclient', ['-sf', join(folder, 'dhclient-print'), '-lf', leases, '-pf', pid, '-cf', '/dev/null', '-1', 'a0']);
    expect(await service.events(3)).toEqual(['dhcp.nak', 'dhcp.offer', 'dhcp.ack']);
    expect(said).toContain('new_ip_address=10.77.1.7');
    await inside(space.a, 'dhclient', ['-x', '-pf', pid, '-lf', leases, 'a0']);
  });

  tryWith(['dhcping'], 'dhcping finds it alive by INFORM and by REQUEST', async () => {
    const service = await serveA();
    ip('-n', space.a, 'addr', 'add', '10.77.1.7/24', 'dev', 'a0');
    expect(await inside(space.a, 'dhcping', ['-i', '-s', '10.77.1.1', '-c', '10.77.1.7', '-h', macs.a])).toContain('Got answer from: 10.77.1.1');
    expect(await inside(space.a, 'dhcping', ['-s', '10.77.1.1', '-c', '10.77.1.7', '-h', macs.a])).toContain('Got answer from: 10.77.1.1');
    expect(await service.events(2)).toEqual(['dhcp.inform', 'dhcp.ack']);
  });

  tryWith([], 'the npm package dhcp, as a client, binds', async () => {
    const service = await serveA();
    const client = fileURLToPath(new URL('dhcp-npm-client.cjs', import.meta.url));
    // It clears the broadcast flag, and yet hears nothing that is sent to an address its system does not have (RFC 2131 4.1 wants the flag then).
    ip('-n', space.a, 'addr', 'add', '10.77.1.7/24', 'dev', 'a0');
    ip('-n', space.a, 'route', 'add', '255.255.255.255/32', 'dev', 'a0');
    expect(await inside(space.a, process.execPath, [client, macs.a])).toContain('BOUND 10.77.1.7');
    // It asks for an address only in its second REQUEST; the first names neither address nor server.
    expect(await service.events(4)).toEqual(['dhcp.offer', 'dhcp.ignore', 'dhcp.offer', 'dhcp.ack']);
  });
});

describe('a boot ROM', () => {
  tryWith(['bootpc'], 'bootpc, which speaks BOOTP only, gets its address and boot file', async () => {
    const service = await serveA();
    ip('-n', space.a, 'route', 'replace', '255.255.255.255/32', 'dev', 'a0');
    const said = await inside(space.a, 'bootpc', ['--dev', 'a0', '--serverbcast', '--returniffail', '--timeoutwait', '5']);
    for (const line of ["IPADDR='10.77.1.7'", "NETMASK='255.255.255.0'", "GATEWAYS='10.77.1.1'", "BOOTFILE='undionly.kpxe'", "HOSTNAME='n1'"]) {
      expect(said).toContain(line);
    }
    expect(await service.events(1)).toEqual(['bootp.reply']);
  });

  const pxe = ['-V', 'PXEClient:Arch:00000:UNDI:002001', '-x', '0x5d:0000', '-x', '0x61:0000112233445566778899aabbccddeeff'];

  tryWith(['udhcpc'], 'a BIOS PXE ROM, played by udhcpc', async () => {
    const service = await serveA();
    const said = await udhcpc(space.a, 'a0', ...pxe, '-O', '43', '-O', '60', '-O', '97', '-O', 'tftp', '-O', 'bootfile');
    for (const line of ['boot_file=undionly.kpxe', 'bootfile=undionly.kpxe', 'siaddr=10.77.1.1', 'tftp=10.77.1.1', 'opt43=060108ff']) {
      expect(said).toContain(`bound ${line}\n`);
    }
    expect(said).toContain(`bound vendor=PXEClient\n`);
    expect(said).toContain('opt97=0000112233445566778899aabbccddeeff');
    expect(await service.heard('dhcp.offer')).toMatchObject({ client: 'bios/rom', file: 'undionly.kpxe', node: 'n1' });
  });

  tryWith(['udhcpc'], 'a UEFI PXE ROM', async () => {
    await serveA();
    expect(await udhcpc(space.a, 'a0', '-V', 'PXEClient:Arch:00007:UNDI:003000', '-x', '0x5d:0007')).toContain('bound boot_file=ipxe.efi\n');
  });

  tryWith(['udhcpc'], 'UEFI HTTP boot', async () => {
    await serveA();
    const said = await udhcpc(space.a, 'a0', '-V', 'HTTPClient:Arch:00016:UNDI:003000', '-x', '0x5d:0010', '-O', '60', '-O', 'bootfile');
    expect(said).toContain('bound bootfile=http://10.77.1.1/boot/efi-x64.efi\n');
    expect(said).toContain(`bound vendor=HTTPClient\n`);
  });

  tryWith(['udhcpc'], 'iPXE is given its script and no other loader', async () => {
    const service = await serveA();
    const said = await udhcpc(space.a, 'a0', ...pxe, '-x', '0x4d:69505845', '-O', '175');
    expect(said).toContain('bound boot_file=http://10.77.1.1/boot.ipxe\n');
    expect(said).toContain('opt175=b00101');
    expect(await service.heard('dhcp.ack')).toMatchObject({ client: 'bios/ipxe' });
  });
});

describe('interfaces', () => {
  tryWith(['udhcpc'], 'two services on port 67 answer each on its own wire', async () => {
    const a = await serveA();
    const b = await serve('sb', '10.77.2.1', { [macs.b]: host('2', 'n2') });
    expect(await udhcpc(space.a, 'a0')).toContain('bound ip=10.77.1.7');
    expect(await udhcpc(space.b, 'b0')).toContain('bound ip=10.77.2.7');
    await Promise.all([a.events(2), b.events(2)]);
    expect([a.lines.map(({ mac }) => mac), b.lines.map(({ mac }) => mac)]).toEqual([
      [undefined, macs.a, macs.a],
      [undefined, macs.b, macs.b],
    ]);
  });

  tryWith(['udhcpc'], 'a broadcast on the other wire is not heard', async () => {
    const service = await serve('sa', '10.77.1.1', { [macs.a]: host('1', 'n1'), [macs.b]: host('1', 'n2') });
    expect(await udhcpc(space.b, 'b0')).not.toContain('bound');
    expect(await udhcpc(space.a, 'a0')).toContain('bound');
    await service.heard('dhcp.ack');
    expect(service.lines.map(({ mac }) => mac)).not.toContain(macs.b);
  });

  tryWith([], 'a second service on the same wire is told who stands in its way', async () => {
    await serveA();
    await expect(serveInVain('sa')).resolves.toContain('port.taken');
    await expect(serveInVain('sz')).resolves.toContain('interface.absent');
  });

  tryWith(['udhcpc'], 'a stranger is seen, and not answered', async () => {
    const service = await serve('sb', '10.77.2.1', {});
    expect(await udhcpc(space.b, 'b0')).not.toContain('bound');
    expect(await service.heard('dhcp.ignore')).toMatchObject({ reason: 'unknown-machine', mac: macs.b });
  });

  tryWith(['udhcpc', 'dnsmasq'], 'a relay (dnsmasq) brings a node of another network', async () => {
    const service = await serve('sr', '10.77.3.1', { [macs.c]: host('4', 'n4') });
    const relay = spawn(
      'ip',
      ['netns', 'exec', space.relay, 'dnsmasq', '-k', '-p', '0', '-C', '/dev/null', '--dhcp-relay=10.77.4.1,10.77.3.1', '--user=root'],
      {
        stdio: 'ignore',
      },
    );
    try {
      // The relay says nothing when it is ready: the client asks until it is.
      const said = await inside(space.c, 'udhcpc', ['-i', 'c0', '-f', '-q', '-n', '-t', '20', '-T', '1', '-s', join(folder, 'print')]);
      expect(said).toContain('bound ip=10.77.4.7');
      expect(await service.heard('dhcp.ack')).toMatchObject({ relay: '10.77.4.1', route: 'relay' });
    } finally {
      const exit = new Promise((resolve) => relay.once('exit', resolve));
      relay.kill();
      await exit;
    }
  });
});
