"""Named chips: what their serial number decides, what they boot with, how strong their imperfections are."""
