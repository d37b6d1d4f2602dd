import { expect, test } from 'vitest';
import { hostMirror, sourceLines } from '../../src/image/mirror.ts';

test.each<[string, string[], string]>([
  ['no sources at all', [], 'http://deb.debian.org/debian'],
  ['a site mirror in one line', ['# deb http://old/debian x main\ndeb [arch=amd64] http://mirror.site/debian bookworm main\n'], 'http://mirror.site/debian'],
  ['a site mirror as deb822', ['Types: deb\nURIs: https://mirror.site/pub/debian/\nSuites: bookworm\n'], 'https://mirror.site/pub/debian'],
  [
    'security before the mirror',
    ['deb http://security.debian.org/debian-security bookworm-security main', 'URIs: http://mirror.site/debian'],
    'http://mirror.site/debian',
  ],
  [
    'a snapshot of one day',
    ['URIs: http://snapshot.debian.org/archive/debian/20250520T000000Z\nURIs: http://snapshot.site/debian\n'],
    'http://deb.debian.org/debian',
  ],
  ['another distribution', ['deb http://archive.ubuntu.com/ubuntu noble main'], 'http://deb.debian.org/debian'],
  ['sources of source packages only', ['deb-src http://mirror.site/debian bookworm main'], 'http://deb.debian.org/debian'],
])('with %s an image is built from %s', (_what, sources, mirror) => {
  expect(hostMirror('debian', sources)).toBe(mirror);
});

test('an image has the release, its updates and its security fixes', () => {
  expect(sourceLines('debian', 'trixie', 'http://mirror.site/debian')).toEqual([
    'deb http://mirror.site/debian trixie main',
    'deb http://mirror.site/debian trixie-updates main',
    'deb http://deb.debian.org/debian-security trixie-security main',
  ]);
});

test.each<[string, string[], string]>([
  ['none of its own', ['deb http://deb.debian.org/debian trixie main'], 'http://archive.ubuntu.com/ubuntu'],
  [
    'a site mirror behind the security archive',
    ['deb http://security.ubuntu.com/ubuntu noble-security main\ndeb http://mirror.site/ubuntu noble main'],
    'http://mirror.site/ubuntu',
  ],
])('an Ubuntu image, on a server with %s, is built from the right mirror', (_what, sources, mirror) => {
  expect(hostMirror('ubuntu', sources)).toBe(mirror);
});

test('an Ubuntu image has universe too, where most loaders are', () => {
  expect(sourceLines('ubuntu', 'noble', 'http://mirror.site/ubuntu')).toEqual([
    'deb http://mirror.site/ubuntu noble main universe',
    'deb http://mirror.site/ubuntu noble-updates main universe',
    'deb http://security.ubuntu.com/ubuntu noble-security main universe',
  ]);
});
