// An SMSC by somebody else (node-smpp) that gives up no text: what was not acknowledged is sent again after each bind.
//
//   node resending_smsc.js
//
// It prints {"event":"listening","port":N} first. Each line of stdin is a text, {"to":"491511234567","text":"…"};
// {"drop":true} breaks the link. Each text that was acknowledged is told as {"event":"acknowledged","to":…,"text":…},
// each bind as {"event":"bound"}.
'use strict';

const readline = require('readline');
const smpp = require('smpp');

const WINDOW = 24;
const waiting = []; // texts that are to be sent
const sent = new Set(); // texts that were sent over the newest session and are not acknowledged yet
let session = null;

function tell(event) {
  process.stdout.write(JSON.stringify(event) + '\n');
}

function send() {
  while (session && sent.size < WINDOW && waiting.length) {
    const over = session;
    const text = waiting.shift();
    sent.add(text);
    const fields = {
      source_addr: 'WhatsApp', source_addr_ton: 5, destination_addr: text.to, dest_addr_ton: 1, short_message: text.text,
    };
    over.deliver_sm(fields, (response) => {
      if (over !== session) return;
      sent.delete(text);
      if (response.command_status === 0) tell({event: 'acknowledged', ...text});
      else waiting.push(text);
      send();
    });
  }
}

function lost(which) {
  if (which !== session) return;
  session = null;
  waiting.unshift(...sent);
  sent.clear();
}

const server = smpp.createServer({}, (newest) => {
  newest.on('bind_transceiver', (pdu) => {
    newest.send(pdu.response({system_id: 'peer'}));
    lost(session);
    session = newest;
    tell({event: 'bound'});
    send();
  });
  newest.on('enquire_link', (pdu) => newest.send(pdu.response()));
  newest.on('unbind', (pdu) => {
    newest.send(pdu.response());
    newest.close();
  });
  newest.on('close', () => lost(newest));
  newest.on('error', () => lost(newest));
});
server.listen(0, '127.0.0.1', () => tell({event: 'listening', port: server.address().port}));
const input = readline.createInterface({input: process.stdin});
input.on('line', (line) => {
  const order = JSON.parse(line);
  if (order.drop) {
    if (session) session.destroy();
    return;
  }
  waiting.push(order);
  send();
});
input.on('close', () => process.exit(0));
