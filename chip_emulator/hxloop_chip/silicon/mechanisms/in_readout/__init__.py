"""What makes readings of converters and sensors differ from what they measure."""
