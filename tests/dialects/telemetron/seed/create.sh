curl -X POST https://admin.telemetron.ai/api/ext-v1/device \
  -H "Content-Type: application/json" \
  -H "x-api-key: your-api-key" \
  -d '{
    "identifier": "sensor-001",
    "type": "sensor",
    "properties": {
      "location": "Building A",
      "firmware": "v2.1.0",
      "model": "TM-500"
    }
  }'
