// How the kernel is told to mount /mfs: consistent by default, and what a node keeps when it is told to.
import { expect, test } from 'vitest';
import { mfsCacheMax, mfsOptions } from '../../src/agent/mfs/mount-options.ts';
import { readNodeConfig } from '../../src/agent/openmosix-config.ts';
import { openmosixLines, openmosixShape } from '../../src/farm/openmosix-setting.ts';

test('nothing is kept by default', () => {
  expect(mfsOptions(0)).toMatch(/,noac,lookupcache=none,nordirplus,/);
  expect(mfsOptions(0)).not.toMatch(/ac(?:reg|dir)m/);
});

test('names that there are, attributes and listings are kept as long as MFSCACHE says, and never that there is no such name; each write still arrives', () => {
  const options = mfsOptions(3).split(',');
  for (const option of ['sync', 'lookupcache=positive', 'acregmin=3', 'acregmax=3', 'acdirmin=3', 'acdirmax=3']) expect(options).toContain(option);
  for (const option of ['noac', 'nordirplus', 'nocto']) expect(options).not.toContain(option);
});

test('farm.yaml says it to openmosix.config, which says it to the agent, both up to the same bound', () => {
  const [{ key, value } = { key: '', value: '' }] = openmosixLines(openmosixShape.parse({ mfs_cache: mfsCacheMax }));
  expect([key, value]).toEqual(['MFSCACHE', '60']);
  expect(readNodeConfig(new Map([[key, value]])).mfsCache).toBe(60);
  expect(readNodeConfig(new Map()).mfsCache).toBe(0);
  expect(() => readNodeConfig(new Map([[key, '61']]))).toThrow('MFSCACHE is "61"');
  expect(openmosixShape.safeParse({ mfs_cache: mfsCacheMax + 1 }).success).toBe(false);
});
