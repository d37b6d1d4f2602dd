import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { requestTarget } from '../../src/boot/target.ts';

describe('a request target', () => {
  it.each([
    ['/', '/'],
    ['/boot/n1.ipxe', '/boot/n1.ipxe'],
    ['//boot///n1.ipxe', '/boot/n1.ipxe'],
    ['/a/./b/../c', '/a/c'],
    ['/a/%2e%2e/c', '/c'],
    ['/a%2Fb', '/a/b'],
    ['/my%20kernel', '/my kernel'],
    ['/100%', '/100%'],
    ['/100%25', '/100%'],
    ['/a%zzb', '/a%zzb'],
    ['/gr%C3%B6%C3%9Fe', '/größe'],
    [Buffer.from('/größe').toString('latin1'), '/größe'],
    ['/images/', '/images/'],
    ['/images//', '/images/'],
    ['/images/.', '/images/'],
    ['/images/x/..', '/images/'],
    ['http://10.0.0.1:8080/a//b?x=1', '/a/b'],
    ['http://10.0.0.1', '/'],
    ['/a#fragment', '/a'],
    ['//evil/etc', '/evil/etc'],
  ])('%s is %s', (url, path) => {
    expect(requestTarget(url)?.path).toBe(path);
  });

  it.each([['*'], [''], ['boot'], ['/..'], ['/a/../../etc'], ['/%2e%2e/etc'], ['/a%00b'], ['/%ff'], ['ftp://x/y']])('%j is none', (url) => {
    expect(requestTarget(url)).toBeUndefined();
  });

  it('keeps the query', () => {
    expect(requestTarget('/plan?mac=52%3A54&x=a+b&x=c?d')?.query.getAll('x')).toEqual(['a b', 'c?d']);
  });

  it('never leaves the root, whatever is asked', () => {
    const piece = fc.constantFrom('/', '..', '.', '%2e', '%2F', '%', '%25', 'a', '%c3', '?', '#', '\\', '//');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const path = requestTarget(pieces.join(''))?.path;
        if (path === undefined) return;
        expect(path.startsWith('/')).toBe(true);
        expect(path).not.toMatch(/\/\/|\0|(^|\/)\.{1,2}(\/|$)/);
      }),
      { numRuns: 2000 },
    );
  });
});
