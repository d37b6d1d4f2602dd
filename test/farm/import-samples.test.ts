// Whole configurations as they stand on servers, of a department, a school and a cluster: every machine that can be had, and a word on every other.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseFarm } from '../../src/farm/config.ts';
import { formatOf, importNodes } from '../../src/farm/import/formats.ts';
import { top } from '../reference/logged.ts';

function read(name: string) {
  return imported(readFileSync(join(top, 'test/farm/samples', name), 'utf8'), name);
}

function imported(text: string, name: string) {
  const { nodes, ignored } = importNodes(text, name, formatOf(text));
  const machines = nodes.map(({ name: host, mac, clientId, address, tags = [] }) =>
    [host, mac ?? `id ${clientId?.toString('latin1')}`, address ?? '-', ...tags].join(' '),
  );
  return { machines, ignored, format: formatOf(text) };
}

describe('an import of', () => {
  it('dhcpd.conf of a department', () => {
    const { machines, ignored, format } = read('dhcpd.conf');
    expect(format).toBe('dhcpd');
    expect(machines).toEqual([
      'lab01 00:1e:c9:3a:00:01 10.5.0.11',
      'lab02 00:1e:c9:3a:00:02 10.5.0.12',
      'lab03 00:1e:c9:3a:00:03 10.5.0.13',
      'lab04 00:1e:c9:3a:00:04 -',
      'lab05 00:1e:c9:3a:00:05 10.5.0.15',
      'printer-3rd-floor 00:80:77:aa:bb:cc 10.5.2.30',
    ]);
    expect(ignored.join('\n')).toMatch(/lab04[\s\S]*lab05: 10\.5\.2\.15[\s\S]*tokenring[\s\S]*byclient[\s\S]*guests\.conf/);
  });

  it('dnsmasq.conf of a school', () => {
    const { machines, ignored, format } = read('dnsmasq.conf');
    expect(format).toBe('dnsmasq');
    expect(machines).toEqual([
      'pc01 80:ee:73:10:00:01 192.168.67.11 room',
      'pc02 80:ee:73:10:00:02 192.168.67.12 room front',
      'pc03 80:ee:73:10:00:03 192.168.67.13',
      'pc04 80:ee:73:10:00:04 192.168.67.14',
      'pc05 80:ee:73:10:00:05 -',
      'pc06 id \x01\x80\xees\x10\x00\x06 192.168.67.16',
      'teacher id teacher-pc 192.168.67.2',
      'pc07 80:ee:73:10:00:07 192.168.67.17',
      'pc08 80:ee:73:10:00:08 - old',
    ]);
    expect(ignored.join('\n')).toMatch(/80:ee:73:10:ff:04[\s\S]*\*:\*[\s\S]*pc09[\s\S]*10:00:0a,ignore[\s\S]*conf-dir/);
  });

  it('nodes.conf of a cluster', () => {
    const { machines, ignored, format } = read('nodes.conf');
    expect(format).toBe('warewulf');
    expect(machines).toEqual([
      'n1 a4:bf:01:00:00:01 10.0.2.1',
      'n2 a4:bf:01:00:00:f2 10.0.6.2 gpu',
      'n3 a4:bf:01:00:00:03 -',
      'login1 a4:bf:01:00:00:10 10.0.2.250 login-nodes',
    ]);
    expect(ignored.join('\n')).toMatch(/n2: network device default[\s\S]*n4 has no network device/);
  });

  it.each<[string, string, string, readonly string[], RegExp | undefined]>([
    [
      'nodes.conf of Warewulf 4.5, which numbers its format',
      'warewulf',
      `WW_INTERNAL: 45
nodeprofiles:
  default: {}
nodes:
  n01:
    container name: none
    network devices:
      default:
        hwaddr: 00:00:00:00:00:11
        ipaddr: UNDEF
  n02:
  n03:
    network devices:
      default:
      ib0: { type: infiniband, hwaddr: "80:00:02:08:fe:80:00:00:00:00:00:00:00:02:c9:03:00:00:00:01", ipaddr: 10.8.0.3 }
`,
      ['n01 00:00:00:00:00:11 -'],
      /n02 has no network device[\s\S]*n03 has no network device/,
    ],
    [
      'nodes.conf of Warewulf 4.2, where the device says that it is the primary one',
      'warewulf',
      `nodeprofiles: { default: { comment: all } }
nodes:
  n1:
    profiles: [default]
    network devices:
      data: { hwaddr: "a4:bf:01:00:00:21", ipaddr: 10.9.0.1 }
      boot: { hwaddr: "a4:bf:01:00:00:22", ipaddr: 10.9.1.1, primary: "true" }
`,
      ['n1 a4:bf:01:00:00:22 10.9.1.1'],
      /network device data/,
    ],
    [
      'dnsmasq lines that a router writes, address before name, and names that begin with a digit',
      'dnsmasq',
      `dhcp-host=set:net_LAN_br0_192-168-1-0-24,00:08:00:00:5B:08,192.168.1.5,3dprinter
dhcp-host=0:8:0:0:5b:9,2-left.lab.lan,192.168.1.6,12h
dhcp-host=set:,00:08:00:00:5b:0a,192.168.1.7
dhcp-host=tag:known,00:08:00:00:5b:0b,pi,infinite
`,
      [
        '3dprinter 00:08:00:00:5b:08 192.168.1.5 net_LAN_br0_192-168-1-0-24',
        '2-left 00:08:00:00:5b:09 192.168.1.6',
        ' 00:08:00:00:5b:0a 192.168.1.7',
        'pi 00:08:00:00:5b:0b -',
      ],
      undefined,
    ],
    [
      'dhcpd.conf with quoted names, hosts in subnets and what was set before the card',
      'dhcpd',
      `subnet 192.168.0.0 netmask 255.255.255.0 {
  if exists user-class and option user-class = "iPXE" { filename "http://a/b?c=\${net0/mac}"; } else { filename "undionly.kpxe"; }
  host "machine1" { hardware ethernet 0C:03:BB:1A:93:22; fixed-address 192.168.0.11; }
  host core_os_2 {
    option host-name "core2.example.com"; option routers 192.168.0.1;
    hardware ethernet d0:00:67:13:0d:02;
    fixed-address 192.168.0.42; filename "/pxelinux.0";
  };
}
`,
      ['machine1 0c:03:bb:1a:93:22 192.168.0.11', 'core2 d0:00:67:13:0d:02 192.168.0.42'],
      undefined,
    ],
  ])('%s', (_, format, text, machines, ignored) => {
    const found = imported(text, 'x');
    expect(found).toMatchObject({ format, machines });
    if (ignored === undefined) expect(found.ignored).toEqual([]);
    else expect(found.ignored.join('\n')).toMatch(ignored);
  });

  it.each(['dhcpd.conf', 'dnsmasq.conf', 'nodes.conf'])('%s names machines as farm.yaml can', (name) => {
    const { machines } = read(name);
    const nodes = machines.map(
      (line, index) => `  ${line.split(' ')[0]}: { id: ${index + 1}, mac: "02:00:00:00:00:0${index + 1}", ip: 10.11.0.${index + 10} }\n`,
    );
    expect(parseFarm(`name: lab\nnetworks: { main: { interface: eth1, address: 10.11.0.1/24 } }\nnodes:\n${nodes.join('')}`, '/f').nodes).toHaveLength(
      machines.length,
    );
  });
});
