// Datagrams that break, or get no answer from, the npm package `dhcp` 0.2.20 (its issue 73 and others): each is answered here.
import { expect, test } from 'vitest';
import { ipv4 } from '../../src/base/addresses.ts';
import { answer, type DhcpAnswer } from '../../src/dhcp/answer.ts';
import { option } from '../../src/dhcp/options.ts';
import { type DhcpPacket, decodePacket, encodePacket } from '../../src/dhcp/packet.ts';
import { farmOf, kernelFile, message, node, pxeRom, request, requestedAddress, serverIdentifier, wants } from './packets.ts';

/** Over the wire and back, as a datagram comes in. */
function heard(asked: DhcpPacket): DhcpAnswer {
  return answer(decodePacket(encodePacket(asked)), farmOf(node, kernelFile));
}

function raw(...area: number[]): DhcpPacket {
  return decodePacket(Buffer.concat([encodePacket(request([])).subarray(0, 240), Buffer.from(area)]));
}

test('a real PXE ROM asks for options that have no setting (50, 53, 55, 60, 61, 80): it throws there', () => {
  expect(heard(message('discover', [...pxeRom, wants(1, 3, 50, 53, 55, 60, 61, 80, 128, 129, 175, 203)])).exchange.event).toBe('dhcp.offer');
});

test('BOOTP without option 53 gets no answer there', () => {
  expect(heard(request([])).exchange.event).toBe('bootp.reply');
  expect(heard(request([], { cookie: false })).exchange.event).toBe('bootp.reply');
});

test('a relayed request is answered by broadcast there', () => {
  const giaddr = ipv4('10.11.0.254');
  expect(heard(message('discover', [], { giaddr }))).toMatchObject({ route: { kind: 'relay', address: giaddr } });
});

test('a renewal is answered by broadcast there', () => {
  expect(heard(message('request', [], { ciaddr: node.address }))).toMatchObject({ route: { kind: 'unicast', address: node.address } });
});

test('unknown options and 77, 82, 93, 94, 97, 175 are lost there', () => {
  const codes = [77, 82, 93, 94, 97, 175, 224];
  const packet = decodePacket(encodePacket(request(codes.map((code) => [code, Buffer.from([code])]))));
  expect(codes.map((code) => packet.options.get(code)?.[0])).toEqual(codes);
});

test('one pad between options shifts all that follows there', () => {
  expect(raw(0, 53, 1, 1, 255).options.get(option.messageType)?.[0]).toBe(1);
});

test('of repeated options the last wins there', () => {
  expect(raw(60, 2, 80, 88, 60, 1, 69, 255).options.get(60)?.toString()).toBe('PXE');
});

test('the declared length is not looked at there: a message type of no bytes reads END as 255', () => {
  expect(answer(raw(53, 0, 255), farmOf()).exchange.reason).toBe('malformed');
  expect(answer(raw(53, 1, 3, 54, 2, 10, 11, 255), farmOf()).exchange.reason).toBe('malformed');
});

test('a client identifier with a zero byte is cut there', () => {
  const identifier = Buffer.from('018000ff', 'hex');
  const said = heard(message('discover', [[option.clientIdentifier, identifier]]));
  expect(said.kind === 'reply' && said.packet.options.get(option.clientIdentifier)).toEqual(identifier);
});

test('InfiniBand hardware throws there', () => {
  expect(heard(message('discover', [], { htype: 32, chaddr: Buffer.alloc(0) })).exchange.reason).toBe('no-mac');
});

test('the header names no boot file there, and ROMs read the header', () => {
  const said = heard(message('discover', pxeRom));
  expect(said.kind === 'reply' && said.packet).toMatchObject({ file: 'undionly.kpxe', siaddr: '10.11.0.1' });
});

test('replies of 274 bytes are sent there, and kernels drop what is under 300', () => {
  const said = heard(message('discover', [wants(1)]));
  expect(said.kind === 'reply' && encodePacket(said.packet).length).toBe(300);
});

test('a REQUEST to another server is acknowledged there', () => {
  const said = heard(message('request', [serverIdentifier('10.11.0.99'), requestedAddress(node.address)]));
  expect(said.exchange).toMatchObject({ event: 'dhcp.other-server', reason: 'other-server' });
});

test('nothing is ever refused there', () => {
  expect(heard(message('request', [requestedAddress('10.11.0.8')])).exchange.event).toBe('dhcp.nak');
});

test('DECLINE, RELEASE and INFORM are not known there', () => {
  const events = [message('decline', [requestedAddress(node.address)]), message('release'), message('inform', [], { ciaddr: node.address })].map(
    (asked) => heard(asked).exchange.event,
  );
  expect(events).toEqual(['dhcp.decline', 'dhcp.release', 'dhcp.inform']);
});

test('ten bytes from anybody stop its daemon', () => {
  expect(() => decodePacket(Buffer.alloc(10, 1))).toThrow('bytes wanted at offset');
});
