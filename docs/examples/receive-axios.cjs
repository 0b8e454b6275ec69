const axios = require("axios");

const api = axios.create({
  baseURL: (process.env.TRUNKLINE_URL ?? "http://127.0.0.1:8600") + "/api/v1",
  headers: { Authorization: `Bearer ${process.env.TRUNKLINE_API_KEY}` },
});

async function main() {
  // Lease a number
  const purchase = await api.post("/numbers/purchase", { country: "us", service: "whatsapp" });
  const { activation_id, phone_number } = purchase.data.data;
  console.log("number:", phone_number);

  // Poll for the code every 2 seconds
  let code = null;
  for (let tries = 0; tries < 60 && code === null; tries++) {
    const { data } = await api.get(`/numbers/status/${activation_id}`);
    if (data.data.status === "received") code = data.data.sms.code;
    else await new Promise((resolve) => setTimeout(resolve, 2000));
  }
  console.log("code:", code);

  // Complete the lease, or cancel it and get the money back
  const finish = await api.post(`/numbers/finish/${activation_id}`, { status: code ? "completed" : "cancelled" });
  console.log("finished:", finish.data.data.status);
}

main();
