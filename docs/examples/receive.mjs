const baseUrl = (process.env.TRUNKLINE_URL ?? "http://127.0.0.1:8600") + "/api/v1";
const headers = {
  Authorization: `Bearer ${process.env.TRUNKLINE_API_KEY}`,
  "Content-Type": "application/json",
};

async function call(method, path, body) {
  const response = await fetch(baseUrl + path, { method, headers, body: body && JSON.stringify(body) });
  const answer = await response.json();
  if (!answer.success) throw new Error(`${answer.code}: ${answer.detail}`);
  return answer.data;
}

// Lease a number
const activation = await call("POST", "/numbers/purchase", { country: "us", service: "whatsapp" });
console.log("number:", activation.phone_number);

// Poll for the code every 2 seconds
let code = null;
for (let tries = 0; tries < 60 && code === null; tries++) {
  const status = await call("GET", `/numbers/status/${activation.activation_id}`);
  if (status.status === "received") code = status.sms.code;
  else await new Promise((resolve) => setTimeout(resolve, 2000));
}
console.log("code:", code);

// Complete the lease, or cancel it and get the money back
const finished = await call("POST", `/numbers/finish/${activation.activation_id}`, {
  status: code ? "completed" : "cancelled",
});
console.log("finished:", finished.status);
