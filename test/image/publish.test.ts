import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openBuildDirectory, publish } from '../../src/image/publish.ts';

let image: string;
beforeEach(() => {
  image = join(mkdtempSync(join(tmpdir(), 'farm-publish-')), 'debian');
});
afterEach(() => rmSync(join(image, '..'), { recursive: true }));

describe('a new version of an image', () => {
  test('appears whole, and becomes the current one', async () => {
    const building = openBuildDirectory(image);
    writeFileSync(join(building, 'kernel'), 'one');
    expect(await publish(building, image, 'aaaaaaaaaaaa')).toBe(join(image, 'aaaaaaaaaaaa'));
    const second = openBuildDirectory(image);
    writeFileSync(join(second, 'kernel'), 'two');
    expect(readlinkSync(join(image, 'current'))).toBe('aaaaaaaaaaaa');
    await publish(second, image, 'bbbbbbbbbbbb');
    expect(readFileSync(join(image, 'current/kernel'), 'utf8')).toBe('two');
    expect(readdirSync(image).sort()).toEqual(['aaaaaaaaaaaa', 'bbbbbbbbbbbb', 'current', 'previous']);
    expect(readlinkSync(join(image, 'previous'))).toBe('aaaaaaaaaaaa');
  });

  test('that is there already stays as it is, for it may be in use', async () => {
    mkdirSync(join(image, 'aaaaaaaaaaaa'), { recursive: true });
    writeFileSync(join(image, 'aaaaaaaaaaaa/mark'), '');
    await publish(openBuildDirectory(image), image, 'aaaaaaaaaaaa');
    expect(readdirSync(join(image, 'current'))).toEqual(['mark']);
    expect(readdirSync(image).sort()).toEqual(['aaaaaaaaaaaa', 'current']);
  });

  test('begins by removing what a killed build left, and leaves the current version alone', () => {
    mkdirSync(join(image, 'aaaaaaaaaaaa'), { recursive: true });
    symlinkSync('aaaaaaaaaaaa', join(image, 'current'));
    // This process's number, but the start time of one long gone; a number that no process can have; and names from no build of ours.
    for (const name of [`.build-${process.pid}-1`, '.build-4194305-77', '.build-', '.build-x', '.build-current'])
      mkdirSync(join(image, name, 'root'), { recursive: true });
    const building = openBuildDirectory(image);
    expect(readdirSync(image).sort()).toEqual([building.slice(image.length + 1), 'aaaaaaaaaaaa', 'current'].sort());
    expect(existsSync(join(image, 'current'))).toBe(true);
  });

  test('waits for nobody: a second build of the same image is refused while the first runs', () => {
    const building = openBuildDirectory(image);
    expect(() => openBuildDirectory(image)).toThrow(`process ${process.pid} is building or changing this image`);
    expect(existsSync(building)).toBe(true);
  });
});
