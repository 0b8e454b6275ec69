import os
import time

import requests

BASE_URL = os.environ.get("TRUNKLINE_URL", "http://127.0.0.1:8600") + "/api/v1"
headers = {"Authorization": f"Bearer {os.environ['TRUNKLINE_API_KEY']}"}

# Lease a number
order = {"country": "us", "service": "whatsapp"}
response = requests.post(f"{BASE_URL}/numbers/purchase", json=order, headers=headers, timeout=30)
response.raise_for_status()
activation = response.json()["data"]
print("number:", activation["phone_number"], flush=True)

# Poll for the code every 2 seconds
code = None
for _ in range(60):
    response = requests.get(f"{BASE_URL}/numbers/status/{activation['activation_id']}", headers=headers, timeout=30)
    status = response.json()["data"]
    if status["status"] == "received":
        code = status["sms"]["code"]
        break
    time.sleep(2)
print("code:", code)

# Complete the lease, or cancel it and get the money back
outcome = "completed" if code else "cancelled"
response = requests.post(
    f"{BASE_URL}/numbers/finish/{activation['activation_id']}", json={"status": outcome}, headers=headers, timeout=30
)
print("finished:", response.json()["data"]["status"])
