// Lists of machines as other programs have them, read into the registry.
import { describe, expect, it } from 'vitest';
import { formatOf, importNodes } from '../../src/farm/import/formats.ts';
import type { Imported } from '../../src/farm/import/imported.ts';

const read = (text: string): Imported => importNodes(text, 'list', formatOf(text));
const brief = ({ nodes }: Imported): readonly unknown[] =>
  nodes.map(({ name, mac, address, tags }) => [name, mac, address, tags].filter((value) => value !== undefined && String(value) !== ''));

describe('ISC dhcpd.conf', () => {
  // After the examples of dhcpd.conf(5) and of the Debian package.
  const text = `
# option definitions common to all supported networks...
option domain-name "example.org"; option domain-name-servers ns1.example.org, ns2.example.org;
default-lease-time 600;
subnet 10.5.5.0 netmask 255.255.255.224 {
  range 10.5.5.26 10.5.5.30;
  option broadcast-address 10.5.5.31; # host fake { hardware ethernet 00:00:00:00:00:01; }
}
host passacaglia {
  hardware ethernet 0:0:c0:5d:bd:95;
  filename "vmunix.passacaglia";
  server-name "toccata.example.com";
}
group {
  filename "Xncd19r"; next-server ncd-booter;
  host ncd1 { hardware ethernet 0:c0:c3:49:2b:57; fixed-address 10.5.5.7, 10.6.5.7; }
  host fantasia.example.org { hardware ethernet 08:00:07:26:c0:a5; fixed-address fantasia.example.com; option host-name "fanta"; }
  host nocard { option dhcp-client-identifier "x"; }
}
include "/etc/dhcp/more.conf";
class "foo" { match if substring (option vendor-class-identifier, 0, 4) = "SUNW"; }
`;

  it('gives its hosts, wherever they stand', () => {
    expect(brief(read(text))).toEqual([
      ['passacaglia', '00:00:c0:5d:bd:95'],
      ['ncd1', '00:c0:c3:49:2b:57', '10.5.5.7'],
      ['fanta', '08:00:07:26:c0:a5'],
    ]);
  });

  it('says what it leaves out', () => {
    expect(read(text).ignored.join('\n')).toMatch(/further addresses of host ncd1: 10\.6\.5\.7[\s\S]*fantasia\.example\.com[\s\S]*nocard[\s\S]*more\.conf/);
  });

  it.each([
    ['host a { hardware ethernet 52:54:00:00:00:01; ', /list:1: a \{ is not closed/],
    ['}', /closes nothing/],
    ['host a { hardware ethernet nonsense; }', /list:1: "nonsense" is not a MAC/],
    ['option x "y;', /quote is not closed/],
    ['{'.repeat(40), /nested too deeply/],
  ])('%s is refused with its place', (broken, message) => {
    expect(() => importNodes(broken, 'list', 'dhcpd')).toThrow(message);
  });
});

describe('dnsmasq', () => {
  it('gives the machines of dhcp-host', () => {
    const text = `interface=eth0
dhcp-range=192.168.0.50,192.168.0.150,12h
# dhcp-host=11:22:33:44:55:66,192.168.0.60
dhcp-host=12:22:33:44:55:66,fred,192.168.0.60,45m
dhcp-host=12:22:33:44:55:67,12:22:33:44:55:68,192.168.0.61 # two cards
dhcp-host=id:01:22:22:44:33:04,192.168.0.62,infinite
dhcp-host=id:marjorie,marge
dhcp-host=set:red,tag:x,12:22:33:44:55:69,node_7.lan
dhcp-host=12:22:33:*:*:*,set:vendor
dhcp-host=12:22:33:44:55:70,ignore
dhcp-hostsfile=/etc/more
`;
    expect(brief(read(text))).toEqual([
      ['fred', '12:22:33:44:55:66', '192.168.0.60'],
      ['12:22:33:44:55:67', '192.168.0.61'],
      ['192.168.0.62'],
      ['marge'],
      ['node-7', '12:22:33:44:55:69', ['red']],
    ]);
    expect(read(text).nodes[2]?.clientId?.toString('hex')).toBe('012222443304');
    expect(read(text).ignored).toHaveLength(4);
  });

  it('reads a file of --dhcp-hostsfile, too', () => {
    expect(brief(importNodes('# ours\n52:54:00:00:00:01,n1,10.0.0.1\n\n52:54:00:00:00:02,n2\n', 'hosts', 'dnsmasq'))).toEqual([
      ['n1', '52:54:00:00:00:01', '10.0.0.1'],
      ['n2', '52:54:00:00:00:02'],
    ]);
  });
});

describe('Warewulf nodes.conf', () => {
  it('gives each node by its primary card', () => {
    const text = `nodeprofiles:
  default:
    comment: This profile is automatically included for each node
    image name: rockylinux-9
nodes:
  wwnode1:
    profiles: [default, gpu nodes]
    network devices:
      default: { hwaddr: "E4:3D:1A:00:00:01", ipaddr: 10.0.2.1 }
      ib0: { hwaddr: "e4:3d:1a:00:00:02", ipaddr: 10.9.2.1 }
  n0002.cluster:
    primary network: second
    network devices:
      first: { hwaddr: e4:3d:1a:00:00:03 }
      second: { hwaddr: e4:3d:1a:00:00:04, ipaddr: 10.0.2.2/16 }
  new: { discoverable: true }
`;
    expect(brief(read(text))).toEqual([
      ['wwnode1', 'e4:3d:1a:00:00:01', '10.0.2.1', ['gpu-nodes']],
      ['n0002', 'e4:3d:1a:00:00:04', '10.0.2.2'],
    ]);
    expect(read(text).ignored).toHaveLength(3);
  });
});

describe('a table', () => {
  it('may come from any spreadsheet', () => {
    const wanted = [
      ['n1', '52:54:00:00:00:01', '10.0.0.1', ['a', 'b']],
      ['n2', '52:54:00:00:00:02'],
    ];
    expect(brief(read('name,mac,ip,tags\r\nn1,52:54:00:00:00:01,10.0.0.1,a b\r\nn2,525400000002,,\r\n'))).toEqual(wanted);
    expect(brief(read('\ufeffHostname;MAC address;IP address;Tags\nn1;52-54-00-00-00-01;10.0.0.1;"a;b"\n\nn2;5254.0000.0002;;'))).toEqual(wanted);
  });

  it.each([
    ['name,ip\nn1,10.0.0.1', /list:1: expected a heading with mac/],
    ['mac\n52:54:00:00:00:01,x', /list:2: 2 values for 1 columns/],
    ['mac,ip\n52:54:00:00:00:01,10.0.0.300', /list:2: 10\.0\.0\.300 is not an IPv4/],
    ['mac,id\n"52:54:00:00:00:01,1', /list:2: a quote is not closed/],
    ['', /it is empty/],
  ])('%j is refused with its place', (text, message) => {
    expect(() => importNodes(text, 'list', 'csv')).toThrow(message);
  });
});

describe('farm’s own list', () => {
  it('is read with keys that adding a node has no argument for', () => {
    const { nodes } = read('nodes:\n  n1: { id: 4, mac: "52:54:00:00:00:01", ip: 10.0.0.1, profile: gpu, boot: local, options: { 42: 10.0.0.9 } }\n');
    expect(nodes).toMatchObject([{ name: 'n1', id: 4, mac: '52:54:00:00:00:01', profile: 'gpu', extra: { boot: 'local', options: { 42: '10.0.0.9' } } }]);
  });

  it.each([
    ['nodes: [1]', /expected names with values/],
    ['nodes:\n  n1: { mac: 5 }', /mac has to be text/],
    ['nodes:\n  n1: { uuid: "zz" }', /uuid cannot be "zz"/],
    ['nodes: {', /list: /],
  ])('%j is refused', (text, message) => {
    expect(() => importNodes(text, 'list', 'yaml')).toThrow(message);
  });
});
