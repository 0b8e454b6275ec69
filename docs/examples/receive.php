<?php
$baseUrl = (getenv("TRUNKLINE_URL") ?: "http://127.0.0.1:8600") . "/api/v1";

function call(string $method, string $path, ?array $body = null): array {
    global $baseUrl;
    $curl = curl_init($baseUrl . $path);
    curl_setopt_array($curl, [
        CURLOPT_CUSTOMREQUEST => $method,
        CURLOPT_RETURNTRANSFER => true,
        CURLOPT_TIMEOUT => 30,
        CURLOPT_HTTPHEADER => [
            "Authorization: Bearer " . getenv("TRUNKLINE_API_KEY"),
            "Content-Type: application/json",
        ],
    ]);
    if ($body !== null) {
        curl_setopt($curl, CURLOPT_POSTFIELDS, json_encode($body));
    }
    $answer = json_decode(curl_exec($curl), true);
    if (!$answer["success"]) {
        throw new Exception($answer["code"] . ": " . $answer["detail"]);
    }
    return $answer["data"];
}

// Lease a number
$activation = call("POST", "/numbers/purchase", ["country" => "us", "service" => "whatsapp"]);
echo "number: ", $activation["phone_number"], "\n";

// Poll for the code every 2 seconds
$code = null;
for ($tries = 0; $tries < 60 && $code === null; $tries++) {
    $status = call("GET", "/numbers/status/" . $activation["activation_id"]);
    if ($status["status"] === "received") {
        $code = $status["sms"]["code"];
    } else {
        sleep(2);
    }
}
echo "code: ", $code, "\n";

// Complete the lease, or cancel it and get the money back
$finished = call("POST", "/numbers/finish/" . $activation["activation_id"], [
    "status" => $code ? "completed" : "cancelled",
]);
echo "finished: ", $finished["status"], "\n";
