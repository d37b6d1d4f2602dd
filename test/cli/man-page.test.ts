// Manual pages: the roff of one command, letter by letter, and what any text becomes.
import { Command, Option } from 'commander';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { escaped, manPages } from '../../src/cli/man-page.ts';

const program = new Command('farm').description('All of it.').option('-C, --directory <dir>', 'the farm directory');
const node = new Command('node').description("what's a node");
node.addCommand(
  new Command('set')
    .description('change')
    .argument('<nodes...>', 'n[1-2] or .x')
    .addOption(new Option('--how <way>', 'a\\b').choices(['p', 'q'])),
);
program.addCommand(node);

it('are made of every command', () => {
  expect(manPages(program, '1.2.3').map(({ file }) => file)).toEqual(['farm.1', 'farm-node.1', 'farm-node-set.1']);
});

it('say what --help says', () => {
  expect(manPages(program, '1.2.3').at(-1)?.text).toBe(`.TH FARM\\-NODE\\-SET 1 "" "farm 1.2.3" "farm"
.SH NAME
farm\\-node\\-set \\- change
.SH SYNOPSIS
.B farm node set
[options] <nodes...>
.SH ARGUMENTS
.TP
.B nodes
n[1\\-2] or .x
.SH OPTIONS
.TP
.B \\-\\-how <way>
a\\eb (choices: \\(dqp\\(dq, \\(dqq\\(dq)
.TP
.B \\-h, \\-\\-help
display help for command
.SH GENERAL OPTIONS
.TP
.B \\-C, \\-\\-directory <dir>
the farm directory
.SH EXIT STATUS
.TP
.B 0
done
.TP
.B 1
the answer is no, or some of several failed
.TP
.B 2
could not do it; standard error says why, and mostly what to do
.SH SEE ALSO
.BR farm\\-node (1)
`);
  expect(manPages(program, '1.2.3')[1]?.text).toContain('.BR farm (1),\n.BR farm\\-node\\-set (1)');
});

it('have no text that roff would take for an order', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const line = escaped(text);
      expect(line).not.toMatch(/^[.']|\n/);
      expect(line.replaceAll(/\\(?:[&e-]|\((?:aq|dq|ga|ha|ti))/g, '')).not.toMatch(/[\\"'`^~-]/);
    }),
  );
});
