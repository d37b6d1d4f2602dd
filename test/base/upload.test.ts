import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { openUpload } from '../../src/base/upload.ts';

const place = mkdtempSync(join(tmpdir(), 'farm-uploads-'));
afterAll(() => rmSync(place, { recursive: true }));

/** Room for 100 blocks: a file of n blocks takes n + 1. */
const limit = 100 * 4096;
const blocks = (count: number) => Buffer.alloc(count * 4096);
const inside = (directory: string) => readdirSync(join(place, directory));
const at = (directory: string, more: object = {}) => ({ directory: join(place, directory), name: 'log', limit, replace: true, ...more });
const isFull = { code: 'upload.full' };

/** Bytes that another file may have. */
async function room(upload: Parameters<typeof openUpload>[0]): Promise<number> {
  const file = await openUpload(upload);
  await file.discard();
  return file.limit;
}

describe('a file that arrives', () => {
  it('is in its place when it is whole, and not before; for this user alone', async () => {
    const file = await openUpload(at('whole'));
    await file.write(Buffer.from('hel'));
    expect(inside('whole')).toEqual([expect.stringMatching(/^\.upload-/)]);
    await file.write(Buffer.from('lo'));
    await file.commit();
    expect(inside('whole')).toEqual(['log']);
    expect(readFileSync(join(place, 'whole/log'), 'utf8')).toBe('hello');
    expect([statSync(join(place, 'whole/log')).mode & 0o777, statSync(join(place, 'whole')).mode & 0o777]).toEqual([0o600, 0o700]);
  });

  it('leaves nothing behind when it is given up', async () => {
    const file = await openUpload(at('given-up'));
    await file.write(Buffer.from('hello'));
    await file.discard();
    await file.discard();
    expect(inside('given-up')).toEqual([]);
  });

  it('stays when it is given up after it was put into place', async () => {
    const file = await openUpload(at('stays'));
    await file.commit();
    await file.discard();
    expect(inside('stays')).toEqual(['log']);
  });

  it('replaces one of the same name only if that is allowed, even if both came at once', async () => {
    const [first, second] = [await openUpload(at('same', { replace: false })), await openUpload(at('same', { replace: false }))];
    await first.write(Buffer.from('first'));
    await first.commit();
    await expect(second.commit()).rejects.toMatchObject({ code: 'upload.exists' });
    await expect(openUpload(at('same', { replace: false }))).rejects.toMatchObject({ code: 'upload.exists' });
    const third = await openUpload(at('same'));
    await third.write(Buffer.from('third'));
    await third.commit();
    expect([inside('same'), readFileSync(join(place, 'same/log'), 'utf8')]).toEqual([['log'], 'third']);
  });

  it('does not follow a link that lies in its place', async () => {
    mkdirSync(join(place, 'linked'));
    writeFileSync(join(place, 'victim'), 'untouched');
    symlinkSync('../victim', join(place, 'linked/log'));
    const file = await openUpload(at('linked'));
    await file.write(Buffer.from('new'));
    await file.commit();
    expect([readFileSync(join(place, 'victim'), 'utf8'), readFileSync(join(place, 'linked/log'), 'utf8')]).toEqual(['untouched', 'new']);
  });

  it('says what the system says when it cannot be put into place, and leaves nothing', async () => {
    mkdirSync(join(place, 'blocked/log'), { recursive: true });
    const file = await openUpload(at('blocked'));
    await expect(file.commit()).rejects.toMatchObject({ code: 'EISDIR' });
    expect(inside('blocked')).toEqual(['log']);
  });

  it.each(['', '.', '..', '.hidden', 'a/b', 'a\0b', 'x'.repeat(201)])('cannot be called %j', async (name) => {
    await expect(openUpload(at('names', { name }))).rejects.toMatchObject({ code: 'upload.name' });
    expect(existsSync(join(place, 'names'))).toBe(false);
  });
});

describe('the limit', () => {
  it('counts all that is there and all that comes at the same time', async () => {
    mkdirSync(join(place, 'full'));
    writeFileSync(join(place, 'full/old'), blocks(59));
    const file = await openUpload(at('full'));
    expect(file.limit).toBe(39 * 4096);
    const other = await openUpload(at('full', { name: 'other' }));
    expect(other.limit).toBe(38 * 4096);
    await file.write(blocks(30));
    await expect(other.write(blocks(9))).rejects.toMatchObject(isFull);
    await other.discard();
    await file.write(blocks(9));
    await file.commit();
    await expect(openUpload(at('full', { name: 'third' }))).rejects.toMatchObject(isFull);
    expect(await room(at('full'))).toBe(39 * 4096);
  });

  it('counts what a client has announced before it comes', async () => {
    const [first, second] = await Promise.allSettled([openUpload(at('announced'), 60 * 4096), openUpload(at('announced', { name: 'b' }), 60 * 4096)]);
    expect([first.status, second.status]).toEqual(['fulfilled', 'rejected']);
    expect(second).toMatchObject({ reason: isFull });
    if (first.status === 'fulfilled') await first.value.discard();
    await (await openUpload(at('announced', { name: 'b' }), 60 * 4096)).discard();
  });

  it('does not count what was given up, nor what people have taken away since', async () => {
    for (let times = 0; times < 3; times += 1) {
      const file = await openUpload(at('again', { name: `given-up-${times}` }));
      await file.write(blocks(90));
      await file.discard();
    }
    const kept = await openUpload(at('again'));
    await kept.write(blocks(90));
    await kept.commit();
    rmSync(join(place, 'again/log'));
    expect(await room(at('again', { name: 'next' }))).toBe(99 * 4096);
  });

  it('is one for each directory', async () => {
    await (await openUpload(at('one'), 90 * 4096)).commit();
    const [a, b] = [await openUpload(at('two'), 90 * 4096), await openUpload(at('three'), 90 * 4096)];
    await Promise.all([a.discard(), b.discard()]);
  });

  it('is also one of how many files there are, but a file may always be replaced', async () => {
    mkdirSync(join(place, 'many'));
    for (let number = 0; number < 1000; number += 1) writeFileSync(join(place, 'many', `f${number}`), '');
    const wide = { limit: 2 ** 30 };
    await expect(openUpload(at('many', wide))).rejects.toMatchObject(isFull);
    await (await openUpload(at('many', { ...wide, name: 'f7' }))).commit();
  });
});

it('what a crash has left is cleared away, but not what is still being written', async () => {
  mkdirSync(join(place, 'crashed'));
  writeFileSync(join(place, 'crashed/.upload-0123456789abcdef'), 'half');
  const file = await openUpload(at('crashed'));
  const other = await openUpload(at('crashed', { name: 'other' }));
  expect(inside('crashed').length).toBe(2);
  expect(inside('crashed')).not.toContain('.upload-0123456789abcdef');
  await file.discard();
  await other.discard();
  expect(inside('crashed')).toEqual([]);
});
