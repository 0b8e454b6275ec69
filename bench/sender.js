// An SMSC by node-smpp that sends texts as fast as the window allows, or at a steady rate.
//
//   node sender.js
//
// It prints {"listening":PORT}, then {"bound":true} when a carrier has bound. One JSON object a line on stdin:
//   {"texts":N, "window":W, "first":NUMBER, "numbers":COUNT, "code":CODE, "rate":R}
// sends N texts to the numbers first, first + 1, … first + numbers - 1 in turn, W of them without an answer at most;
// the codes count up from "code". With "rate", R texts a second, spaced at random around the even distance. It prints
//   {"seconds":S, "granted":N, "refused":N, "sent":[NANOSECONDS, …]}
// with the seconds from the first text to the last answer and, where there is a rate, the monotonic time of each text.
'use strict';

const readline = require('readline');
const smpp = require('smpp');

let session = null;

function tell(event) {
  process.stdout.write(JSON.stringify(event) + '\n');
}

function send(order) {
  const started = process.hrtime.bigint();
  const sent = [];
  let next = 0;
  let granted = 0;
  let refused = 0;

  function text() {
    const number = next++;
    if (order.rate) sent.push(Number(process.hrtime.bigint()));
    session.deliver_sm({
      source_addr: 'WhatsApp', source_addr_ton: 5, dest_addr_ton: 1, dest_addr_npi: 1,
      destination_addr: String(order.first + number % order.numbers),
      short_message: `Your WhatsApp code is ${order.code + number}. Do not share it with anyone.`,
    }, (answer) => {
      if (answer.command_status === 0) granted++;
      else refused++;
      if (granted + refused === order.texts) {
        tell({seconds: Number(process.hrtime.bigint() - started) / 1e9, granted, refused, sent});
      } else if (!order.rate) fill();
    });
  }

  function fill() {
    while (next < order.texts && next - granted - refused < order.window) text();
  }

  function pace() {
    text();
    if (next === order.texts) return;
    const due = Number(started) / 1e6 + (next + Math.random()) * 1000 / order.rate;
    setTimeout(pace, Math.max(0, due - Number(process.hrtime.bigint()) / 1e6));
  }

  if (order.rate) pace();
  else fill();
}

const server = smpp.createServer({}, (newest) => {
  session = newest;
  for (const command of ['bind_transceiver', 'bind_receiver']) {
    session.on(command, (pdu) => {
      session.send(pdu.response({system_id: 'bench'}));
      tell({bound: true});
    });
  }
  session.on('enquire_link', (pdu) => session.send(pdu.response()));
  session.on('unbind', (pdu) => {
    session.send(pdu.response());
    session.close();
  });
  session.on('error', () => {});
});
server.listen(0, '127.0.0.1', () => tell({listening: server.address().port}));
const input = readline.createInterface({input: process.stdin});
input.on('line', (line) => send(JSON.parse(line)));
input.on('close', () => process.exit(0));
