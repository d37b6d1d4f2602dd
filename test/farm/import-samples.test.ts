// Whole configurations as they stand on servers, of a department, a school and a cluster: every machine that can be had, and a word on every other.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseFarm } from '../../src/farm/config.ts';
import { formatOf, importNodes } from '../../src/farm/import/formats.ts';
import { top } from '../reference/logged.ts';

function read(name: string) {
  const text = readFileSync(join(top, 'test/farm/samples', name), 'utf8');
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
