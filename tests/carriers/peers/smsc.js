// An SMSC by somebody else: node-smpp, driven by one JSON object a line on stdin, telling of events on stdout.
//
//   node smsc.js [--tls KEY.pem CERT.pem]
//
// It prints {"event":"listening","port":N} first. Commands (each acts on the newest session):
//   {"do":"deliver", fields…}       deliver_sm; "text" is encoded by node-smpp, "hex" is sent octet by octet,
//                                   "udh" is hexadecimal and goes before it, "payload":true puts it in message_payload,
//                                   "count":N sends N of them at once; other keys are fields of the PDU by name
//   {"do":"data", fields…}          data_sm, the same
//   {"do":"send","command":"alert_notification", fields…}   any PDU
//   {"do":"raw","hex":"…"}          octets, as they are
//   {"do":"drop"}                   destroys the connection
//   {"do":"unbind"} {"do":"enquire"}
//   {"do":"on_bind","status":N}     answers binds with it
//   {"do":"on_enquire","mute":true} does not answer enquire_link
//   {"do":"on_submit", …}           "status":N answers with it; "mute":true does not answer; "hold":true answers later,
//                                   "times":N does so for the next N alone; "ids":"hex" answers with hexadecimal ids;
//                                   "receipt":"before" or "after" the answer sends one, with the id as a decimal number
//   {"do":"release"}                namely now, newest first
// The on_ commands are answered with the event ready.
// Events: bind, answer (command, status, sequence), submit, enquire, unbind, close, error. Each has the number of its
// session, counted from 1.
'use strict';

const fs = require('fs');
const readline = require('readline');
const smpp = require('smpp');

const HEX = ['message_payload', 'network_error_code'];
let sessions = 0;
let newest = null;
let messages = 0;
const onBind = {status: 0};
const onEnquire = {mute: false};
const USUAL = {status: 0, mute: false, hold: false, times: 0, ids: '', receipt: '', stat: 'DELIVRD'};
const onSubmit = Object.assign({}, USUAL);
let held = [];

function tell(event) {
  process.stdout.write(JSON.stringify(event) + '\n');
}

function serve(session) {
  const number = ++sessions;
  newest = session;
  session.on('error', (error) => tell({event: 'error', session: number, message: String(error.message)}));
  session.on('close', () => tell({event: 'close', session: number}));
  for (const command of ['bind_transceiver', 'bind_receiver', 'bind_transmitter']) {
    session.on(command, (pdu) => {
      tell({
        event: 'bind', session: number, command, system_id: pdu.system_id, password: pdu.password,
        system_type: pdu.system_type, address_range: pdu.address_range, version: pdu.interface_version,
      });
      session.send(pdu.response(onBind.status ? {command_status: onBind.status} : {system_id: 'peer'}));
    });
  }
  session.on('enquire_link', (pdu) => {
    tell({event: 'enquire', session: number});
    if (!onEnquire.mute) session.send(pdu.response());
  });
  session.on('unbind', (pdu) => {
    tell({event: 'unbind', session: number});
    session.send(pdu.response());
    session.close();
  });
  session.on('submit_sm', (pdu) => {
    const message = pdu.short_message.message;
    tell({
      event: 'submit', session: number, sequence: pdu.sequence_number,
      source_addr: pdu.source_addr, source_addr_ton: pdu.source_addr_ton, source_addr_npi: pdu.source_addr_npi,
      destination_addr: pdu.destination_addr, dest_addr_ton: pdu.dest_addr_ton, dest_addr_npi: pdu.dest_addr_npi,
      esm_class: pdu.esm_class, data_coding: pdu.data_coding, registered_delivery: pdu.registered_delivery,
      validity_period: pdu.validity_period, sar_total_segments: pdu.sar_total_segments,
      sar_segment_seqnum: pdu.sar_segment_seqnum, sar_msg_ref_num: pdu.sar_msg_ref_num,
      payload: pdu.message_payload ? pdu.message_payload.message : null,
      udh: pdu.short_message.udh ? Buffer.concat(pdu.short_message.udh).toString('hex') : null,
      text: Buffer.isBuffer(message) ? null : message,
    });
    const status = onSubmit.status;
    const id = ++messages;
    const response = status
      ? pdu.response({command_status: status})
      : pdu.response({message_id: onSubmit.ids === 'hex' ? (id + 0xabc000).toString(16).toUpperCase() : 'm' + id});
    const receipt = () => session.deliver_sm({
      source_addr: pdu.destination_addr, destination_addr: pdu.source_addr, esm_class: 4,
      short_message: `id:${id + 0xabc000} sub:001 dlvrd:001 submit date:2604191430 done date:2604191431 ` +
        `stat:${onSubmit.stat} err:000 text:`,
    });
    if (onSubmit.receipt === 'before' && !status) receipt();
    if (onSubmit.hold) held.push(() => session.send(response));
    else if (!onSubmit.mute) session.send(response);
    if (onSubmit.receipt === 'after' && !status) receipt();
    if (onSubmit.times && --onSubmit.times === 0) orders.on_submit({});
  });
  session.on('pdu', (pdu) => {
    if (!pdu.isResponse()) return;
    const command = pdu.command;
    tell({event: 'answer', session: number, command, status: pdu.command_status, sequence: pdu.sequence_number});
  });
}

function fields(order) {
  const given = Object.assign({source_addr: 'WhatsApp', source_addr_ton: 5, dest_addr_ton: 1}, order);
  const names = ['do', 'text', 'hex', 'udh', 'payload', 'count', 'command'];
  const text = 'hex' in order ? Buffer.from(order.hex, 'hex') : order.text;
  for (const name of names) delete given[name];
  for (const name of HEX) if (name in given) given[name] = Buffer.from(given[name], 'hex');
  if (text === undefined) return given;
  const udh = order.udh ? Buffer.from(order.udh, 'hex') : null;
  if (order.payload) {
    given.message_payload = udh && Buffer.isBuffer(text) ? Buffer.concat([udh, text]) : text;
  } else if (udh && Buffer.isBuffer(text)) {
    given.short_message = Buffer.concat([udh, text]);
  } else {
    given.short_message = udh ? {udh, message: text} : text;
  }
  return given;
}

const orders = {
  deliver: (order) => {
    for (let i = 0; i < (order.count || 1); i++) newest.deliver_sm(fields(order));
  },
  data: (order) => newest.data_sm(fields(order)),
  send: (order) => newest[order.command](fields(order)),
  raw: (order) => newest.socket.write(Buffer.from(order.hex, 'hex')),
  drop: () => newest.destroy(),
  unbind: () => newest.unbind(),
  enquire: () => newest.enquire_link(),
  on_bind: (order) => Object.assign(onBind, {status: 0}, order),
  on_enquire: (order) => Object.assign(onEnquire, {mute: false}, order),
  on_submit: (order) => Object.assign(onSubmit, USUAL, order),
  release: () => {
    for (const answer of held.reverse()) answer();
    held = [];
  },
};

const tls = process.argv.indexOf('--tls');
const options = tls < 0 ? {} : {key: fs.readFileSync(process.argv[tls + 1]), cert: fs.readFileSync(process.argv[tls + 2])};
const server = smpp.createServer(options, serve);
server.on('tlsClientError', (error) => tell({event: 'error', session: 0, message: String(error.message)}));
server.listen(0, '127.0.0.1', () => tell({event: 'listening', port: server.address().port}));
const input = readline.createInterface({input: process.stdin});
input.on('line', (line) => {
  const order = JSON.parse(line);
  orders[order.do](order);
  if (order.do.startsWith('on_')) tell({event: 'ready'});
});
input.on('close', () => process.exit(0));
