// The socket units of a farm, line by line, and the service that goes with them.
import { describe, expect, it } from 'vitest';
import { parseFarm } from '../../src/farm/config.ts';
import { socketUnits } from '../../src/farm/socket-units.ts';
import { unitText } from '../../src/farm/unit.ts';

const text = `name: lab
networks:
  main: { interface: eth1, address: 10.11.0.1/24 }
  rack: { interface: eth2, address: 10.12.0.1/24, dhcp: off }
profiles: { default: {} }
`;

const units = (farm = text) => new Map(socketUnits(parseFarm(farm, '/srv/lab')).map((unit) => [unit.name, unit.text.split('\n')]));

describe('the socket units', () => {
  it('are one for addresses, one for the port mapper, and one for each card with DHCP', () => {
    expect([...units().keys()]).toEqual(['farm.socket', 'farm-portmap.socket', 'farm-dhcp-main.socket']);
  });

  it('have every port on the address of every network', () => {
    expect(units().get('farm.socket')).toEqual([
      '# Made by: farm unit --sockets',
      '[Unit]',
      'Description=farm: TFTP, HTTP and NFS',
      '',
      '[Socket]',
      'ListenDatagram=10.11.0.1:69',
      'ListenDatagram=10.12.0.1:69',
      'ListenStream=10.11.0.1:80',
      'ListenStream=10.12.0.1:80',
      'ListenStream=10.11.0.1:2049',
      'ListenStream=10.12.0.1:2049',
      'ListenDatagram=10.11.0.1:2049',
      'ListenDatagram=10.12.0.1:2049',
      'FreeBind=yes',
      'ReceiveBuffer=4M',
      '',
      '[Install]',
      'WantedBy=sockets.target',
      '',
    ]);
  });

  it('tie DHCP to its card, and say which one it is', () => {
    expect(units().get('farm-dhcp-main.socket')).toEqual(
      expect.arrayContaining([
        'ListenDatagram=0.0.0.0:67',
        'ListenDatagram=0.0.0.0:4011',
        'BindToDevice=eth1',
        'Broadcast=yes',
        'FileDescriptorName=card.eth1',
        'Service=farm.service',
      ]),
    );
  });

  it('have the port of TLS where there is one', () => {
    const farm = `${text}http_port: 8080\ntls: { certificate: c.pem, key: k.pem, port: 8443 }\n`;
    expect(units(farm).get('farm.socket')).toEqual(expect.arrayContaining(['ListenStream=10.11.0.1:8080', 'ListenStream=10.12.0.1:8443']));
  });
});

describe('the service with sockets', () => {
  const sockets = ['farm.socket', 'farm-dhcp-main.socket'];
  const service = (farm: string): readonly string[] => unitText(parseFarm(farm, '/srv/lab'), { program: ['/usr/bin/farm'], user: 'farm', sockets }).split('\n');

  it.each([
    ['without shared paths', text, 'CAP_NET_RAW'],
    ['with some', text.replace('default: {}', 'default: { shared: [/home] }'), 'CAP_NET_RAW CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_FSETID CAP_MKNOD'],
  ])('names the right that nothing can pass, and those over files where they are needed: %s', (_what, farm, capabilities) => {
    expect(service(farm)).toEqual(
      expect.arrayContaining([
        'Sockets=farm.socket farm-dhcp-main.socket',
        'User=farm',
        `AmbientCapabilities=${capabilities}`,
        `CapabilityBoundingSet=${capabilities}`,
      ]),
    );
  });
});
