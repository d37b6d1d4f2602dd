// Changing nodes in the text of farm.yaml: what is not meant stays, to the letter.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { changeNodes, removeNodes, renameNodes } from '../../src/farm/edit-nodes.ts';

const quick = `name: lab # ours
nodes:
  # the first row
  n1: { id: 1, mac: "52:54:00:00:00:01", ip: 10.11.1.1 } # by the door
  n2: { id: 2, mac: "52:54:00:00:00:02", ip: 10.11.1.2, profile: gpu }

  # the second row
  n3: { id: 3, mac: "52:54:00:00:00:03", ip: 10.11.1.3 }
profiles:
  gpu: {}
`;

const byHand = `nodes:
  n1:
    # its card was changed in May
    mac: "52:54:00:00:00:01" # the second slot
    id: 1
    ip: 10.11.1.1

  # about n2
  "n2": {id: 2, mac: '52:54:00:00:00:02', ip: 10.11.1.2} # by the window
name: lab
`;

describe('a change of a node', () => {
  it('is in its line, where nodes have one line each', () => {
    const after = changeNodes(quick, new Map([['n1', { profile: 'gpu', tags: ['big', 'new'] }]]));
    expect(after).toBe(quick.replace('ip: 10.11.1.1 }', 'ip: 10.11.1.1, profile: gpu, tags: [ big, new ] }'));
  });

  it('takes a key out', () => {
    expect(changeNodes(quick, new Map([['n2', { profile: undefined }]]))).toBe(quick.replace(', profile: gpu', ''));
  });

  it('keeps a value in quotes in quotes', () => {
    expect(changeNodes(quick, new Map([['n3', { mac: '52:54:00:00:00:99' }]]))).toBe(quick.replace('00:00:03', '00:00:99'));
  });

  it('keeps comments inside the node', () => {
    const after = changeNodes(
      byHand,
      new Map([
        ['n1', { id: 7 }],
        ['n2', { image: 'debian-12' }],
      ]),
    );
    expect(after).toBe(
      byHand
        .replace('id: 1', 'id: 7')
        .replace("{id: 2, mac: '52:54:00:00:00:02', ip: 10.11.1.2}", "{ id: 2, mac: '52:54:00:00:00:02', ip: 10.11.1.2, image: debian-12 }"),
    );
  });

  it('keeps the line breaks of Windows', () => {
    const crlf = quick.replaceAll('\n', '\r\n');
    expect(changeNodes(crlf, new Map([['n3', { boot: 'local' }]]))).toBe(crlf.replace('10.11.1.3 }', '10.11.1.3, boot: local }'));
  });
});

describe('a node with another name', () => {
  it('keeps all else', () => {
    expect(
      renameNodes(
        quick,
        new Map([
          ['n1', 'n2'],
          ['n2', 'n1'],
        ]),
      ),
    ).toBe(quick.replace('n1:', 'x:').replace('n2:', 'n1:').replace('x:', 'n2:'));
    expect(renameNodes(byHand, new Map([['n2', 'window']]))).toBe(byHand.replace('"n2"', '"window"'));
  });
});

describe('a node that is taken out', () => {
  it('leaves the comments of the others', () => {
    expect(removeNodes(quick, ['n1', 'n3'])).toBe(quick.replace(/ {2}n[13]: .*\n/g, ''));
    expect(removeNodes(byHand, ['n1'])).toBe(byHand.replace(/ {2}n1:[^#]*#.*\n.*\n.*\n.*\n/, ''));
  });

  it('leaves an empty map where it was the last', () => {
    expect(parse(removeNodes(quick, ['n1', 'n2', 'n3'])).nodes).toBeNull();
  });

  it.each([['n9', /no node n9/]])('cannot be %s, which is not there', (name, message) => {
    expect(() => removeNodes(quick, [name])).toThrow(message);
  });

  it('has to stand in lines', () => {
    expect(() => removeNodes('nodes: { n1: { id: 1 } }\n', ['n1'])).toThrow(/in braces/);
  });
});

describe('any series of edits', () => {
  const edit = fc.record({
    node: fc.constantFrom('n1', 'n2', 'n3'),
    key: fc.constantFrom('image', 'boot', 'id', 'tags'),
    value: fc.constantFrom<unknown>('a', 'local', 9, ['x', 'y'], undefined),
  });
  it('is what YAML reads, and no comment is lost', () => {
    fc.assert(
      fc.property(fc.array(edit, { maxLength: 6 }), fc.constantFrom(quick, quick.replaceAll('\n', '\r\n')), (edits, before) => {
        const wanted = parse(before).nodes;
        let text = before;
        for (const { node, key, value } of edits) {
          text = changeNodes(text, new Map([[node, { [key]: value }]]));
          if (value === undefined) delete wanted[node][key];
          else wanted[node][key] = value;
        }
        expect(parse(text).nodes).toEqual(wanted);
        for (const comment of before.match(/#.*/g) ?? []) expect(text).toContain(comment);
      }),
      { numRuns: 200 },
    );
  });
});
