// A receiver's check by the official library of Standard Webhooks.
//
//   node verify_webhooks.js
//
// Each line of stdin is {"secret":"whsec_…","headers":{…},"body":"…"}; it is answered by a line, {"payload":…} of what
// is good, {"refused":"…"} of what is not.
'use strict';

const readline = require('readline');
const {Webhook} = require('standardwebhooks');

function check({secret, headers, body}) {
  try {
    return {payload: new Webhook(secret).verify(body, headers)};
  } catch (error) {
    return {refused: error.constructor.name};
  }
}

readline.createInterface({input: process.stdin}).on('line', (line) => {
  process.stdout.write(JSON.stringify(check(JSON.parse(line))) + '\n');
});
