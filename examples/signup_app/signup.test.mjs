// The same in Node's own test runner:
//
//   TRUNKLINE_API_KEY=tl_test_… node --test signup.test.mjs
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { after, before, test } from 'node:test';

const api = (process.env.TRUNKLINE_URL ?? 'http://127.0.0.1:8600') + '/api/v1';
const headers = { Authorization: `Bearer ${process.env.TRUNKLINE_API_KEY}`, 'Content-Type': 'application/json' };
let shop;
let base;

async function trunkline(path, body) {
  const response = await fetch(api + path, { method: body ? 'POST' : 'GET', headers, body: body && JSON.stringify(body) });
  const answer = await response.json();
  if (!answer.success) throw new Error(`${answer.code}: ${answer.detail}`);
  return answer.data;
}

async function submit(path, form) {
  const response = await fetch(base + path, { method: 'POST', body: new URLSearchParams(form) });
  return response.text();
}

before(async () => {
  const program = fileURLToPath(new URL('app.py', import.meta.url));
  shop = spawn(process.env.PYTHON ?? 'python3', [program]);
  base = await new Promise((resolve) => shop.stdout.once('data', (line) => resolve(String(line).trim())));
});
after(() => shop.kill());

test('a user signs up with the code that arrives', async () => {
  const lease = await trunkline('/numbers/purchase', { country: 'us', service: 'any' });
  try {
    const page = await submit('/signup', { phone: lease.phone_number });
    const [, id] = page.match(/value="(ver_\d+)"/);
    const { sms } = await trunkline(`/numbers/status/${lease.activation_id}?wait=30`);
    assert.match(await submit('/code', { id, code: sms.code }), /You are in/);
  } finally {
    await trunkline(`/numbers/finish/${lease.activation_id}`, { status: 'completed' });
  }
});
