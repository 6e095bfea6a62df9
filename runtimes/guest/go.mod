module rouse.dev/guest

go 1.21
