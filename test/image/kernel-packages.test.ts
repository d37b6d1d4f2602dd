import { expect, test } from 'vitest';
import { noSuchKernel } from '../../src/image/kernel-packages.ts';

const known = [
  'linux-image-amd64',
  'linux-image-amd64-signed-template',
  'linux-image-cloud-amd64',
  'linux-image-6.12.9-amd64',
  'linux-image-6.12.10-amd64',
  'linux-image-6.12.10-amd64-dbg',
];

test.each([
  [
    'linux-image-clod-amd64',
    known,
    'trixie has no kernel package linux-image-clod-amd64 (did you mean linux-image-cloud-amd64?)',
    'it has: linux-image-amd64, linux-image-cloud-amd64; and 2 of one version each, such as linux-image-6.12.10-amd64',
  ],
  ['linux-image-generic', ['linux-image-amd64'], 'trixie has no kernel package linux-image-generic', 'it has: linux-image-amd64'],
  ['x', ['linux-image-6.8.0-1-generic'], 'trixie has no kernel package x', 'it has: 1 of one version each, such as linux-image-6.8.0-1-generic'],
])('of a kernel package that a release has not, %s, is said what it has', (kernel, packages, message, hint) => {
  expect(noSuchKernel('trixie', kernel, packages)).toMatchObject({ code: 'image.kernel', message, hint });
});
