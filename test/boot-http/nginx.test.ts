import { expect, it } from 'vitest';
import { ipv4 } from '../../src/base/addresses.ts';
import { nginxConfiguration } from '../../src/boot/nginx.ts';

const values = {
  name: 'lab-1',
  addresses: [ipv4('10.11.0.1'), ipv4('10.12.0.1')],
  port: 80,
  backend: 8080,
  secret: 'abc',
  directory: '/srv/farm',
};

it('the configuration listens where nodes ask, and passes on their address with the secret', () => {
  const text = nginxConfiguration(values);
  expect(text.match(/^ +listen .*$/gm)?.map((line) => line.trim())).toEqual(['listen 10.11.0.1:80;', 'listen 10.12.0.1:80;']);
  expect(text).toContain('server 127.0.0.1:8080;');
  expect(text.match(/proxy_pass/g)?.length).toBe(3);
  expect(text.match(/proxy_set_header X-Forwarded-For \$remote_addr;\n +proxy_set_header X-Farm-Proxy "abc";/g)?.length).toBe(3);
});

it('the configuration has the certificate on the second port', () => {
  const text = nginxConfiguration({ ...values, tls: { certificate: '/srv/farm/tls/a "b".pem', key: '/srv/farm/tls/key', port: 443 } });
  expect(text).toContain('listen 10.12.0.1:443 ssl;');
  expect(text).toContain('ssl_certificate "/srv/farm/tls/a \\"b\\".pem";');
});

it.each([['/srv/$HOME'], ['/srv/a\nb']])('the configuration refuses the path %j, which nginx would read differently', (directory) => {
  expect(() => nginxConfiguration({ ...values, directory })).toThrow(expect.objectContaining({ code: 'nginx.path' }));
});
