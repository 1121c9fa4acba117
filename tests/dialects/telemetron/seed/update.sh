curl -X POST https://admin.telemetron.ai/api/ext-v1/device \
  -H "Content-Type: application/json" \
  -H "x-api-key: your-api-key" \
  -d '{
    "identifier": "sensor-001",
    "properties": {
      "location": "Building B",
      "firmware": "v2.2.0"
    }
  }'
