"""What the public calibration of the chip (calix) does, routine by routine, with the same readings and searches."""
