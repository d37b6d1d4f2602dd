// The npm package `dhcp` as a client: `node dhcp-npm-client.cjs <mac>`. Its first REQUEST forgets the address, so it asks a second time.
const dhcp = require('dhcp');

const client = dhcp.createClient({ mac: process.argv[2] });
let offers = 0;
client.on('error', (error) => {
  console.log('ERROR', error.message);
  process.exit(1);
});
client.on('message', (message) => {
  if (message.options[53] === 2) offers += 1;
  if (message.options[53] === 2 && offers === 1) setImmediate(() => client.sendDiscover());
});
client.on('bound', (state) => {
  console.log('BOUND', state.address ?? client._state.address);
  client.close();
});
client.on('listening', () => client.sendDiscover());
client.listen();
